//! `windlass image`: the images on this node, through the server that runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::ask;
use crate::control::{ImageReport, Import, Reference};
use crate::error::Failure;
use crate::output::say;
use crate::settings::DataDir;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    directory: DataDir,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import images from OCI or Docker archives.
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the images on this node.
    List,
    /// Pull an image from its registry.
    Pull {
        #[arg(value_name = "IMAGE")]
        reference: String,
    },
    /// Remove an image.
    Rm {
        #[arg(required = true, value_name = "IMAGE")]
        references: Vec<String>,
    },
}

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    match &flags.action {
        Action::Import { files } => {
            for file in files {
                let path = std::path::absolute(file)
                    .map_err(|error| Failure::during(format!("{} cannot be read", file.display()), error))?;
                let names: Vec<String> = ask(&flags.directory, Method::POST, "/images/import", &Import { path })?;
                names.iter().for_each(say);
            }
        }
        Action::List => {
            let images: Vec<ImageReport> = ask(&flags.directory, Method::GET, "/images", &())?;
            let rows = images.iter().flat_map(|image| {
                let names: Vec<&str> = match image.names.as_slice() {
                    [] => vec!["<none>"],
                    names => names.iter().map(String::as_str).collect(),
                };
                names.into_iter().map(|name| (name, short(&image.id), size(image.bytes))).collect::<Vec<_>>()
            });
            let rows: Vec<_> = rows.collect();
            let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max("IMAGE".len());
            say(format_args!("{:width$}  {:12}  SIZE", "IMAGE", "ID"));
            rows.iter().for_each(|(name, id, size)| say(format_args!("{name:width$}  {id:12}  {size}")));
        }
        Action::Pull { reference } => {
            let id: String =
                ask(&flags.directory, Method::POST, "/images/pull", &Reference { reference: reference.clone() })?;
            say(id);
        }
        Action::Rm { references } => {
            for reference in references {
                let _: Value =
                    ask(&flags.directory, Method::POST, "/images/remove", &Reference { reference: reference.clone() })?;
            }
        }
    }
    Ok(())
}

fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// Bytes as people read them, in powers of ten.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes}B") } else { format!("{value:.1}{unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in
            [(0, "0B"), (999, "999B"), (1500, "1.5kB"), (61_000_000, "61.0MB"), (2_000_000_000_000, "2.0TB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
