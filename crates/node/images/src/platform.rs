//! Which of an index's manifests is for this machine.
//!
//! The names are Go's (`amd64`, `arm64`), which OCI took over. A machine runs its own architecture; of 32-bit ARM also the
//! older variants, the newest first.

use std::fmt;

use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// The machine that this program was built for.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        let variant = (architecture == "arm").then(|| "v7".to_owned());
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant }
    }

    /// How well an image for `offered` suits this machine: 0 is best, `None` cannot run.
    pub fn rank(&self, offered: &Self) -> Option<u8> {
        let (architecture, variant) = normalise(&offered.architecture, offered.variant.as_deref());
        let (own_architecture, own_variant) = normalise(&self.architecture, self.variant.as_deref());
        if offered.os != self.os || architecture != own_architecture {
            return None;
        }
        if architecture == "arm" {
            let number = |variant: &str| variant.strip_prefix('v').and_then(|n| n.parse::<u8>().ok());
            return number(own_variant)?.checked_sub(number(variant)?);
        }
        (variant == own_variant).then_some(0)
    }
}

/// One spelling for what has several; the variant that needs no mention is the empty one.
fn normalise<'a>(architecture: &'a str, variant: Option<&'a str>) -> (&'a str, &'a str) {
    let variant = variant.unwrap_or_default();
    match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("i386", _) => ("386", ""),
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Descriptor;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        Platform { os: parts.next().unwrap(), architecture: parts.next().unwrap_or_default(), variant: parts.next() }
    }

    #[test]
    fn ranks() {
        let cases = [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/amd64/v1", Some(0)),
            ("linux/amd64", "linux/x86_64", Some(0)),
            ("linux/amd64", "linux/amd64/v3", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/386", None),
            ("linux/amd64", "unknown/unknown", None),
            ("linux/arm64", "linux/arm64/v8", Some(0)),
            ("linux/arm64", "linux/aarch64", Some(0)),
            ("linux/arm64", "linux/arm/v7", None),
            ("linux/arm/v7", "linux/arm/v6", Some(1)),
            ("linux/arm/v7", "linux/arm", Some(0)),
            ("linux/arm/v6", "linux/arm/v7", None),
        ];
        for (own, offered, rank) in cases {
            assert_eq!(platform(own).rank(&platform(offered)), rank, "{offered} on {own}");
        }
    }

    #[test]
    fn chooses_the_best_and_takes_the_unnamed_last() {
        let index = |platforms: &[Option<&str>]| -> Vec<Descriptor> {
            platforms
                .iter()
                .enumerate()
                .map(|(i, platform_name)| Descriptor {
                    media_type: String::new(),
                    digest: crate::digest::Digest::of(b""),
                    size: i as u64,
                    platform: platform_name.map(platform),
                    annotations: Default::default(),
                })
                .collect()
        };
        let chosen = |own: &str, platforms: &[Option<&str>]| platform(own).choose(&index(platforms)).map(|d| d.size);
        assert_eq!(chosen("linux/arm/v7", &[Some("linux/arm/v5"), Some("linux/arm/v6")]), Some(1));
        assert_eq!(chosen("linux/amd64", &[None, Some("linux/amd64")]), Some(1));
        assert_eq!(chosen("linux/amd64", &[Some("unknown/unknown"), None]), Some(1));
        assert_eq!(chosen("linux/amd64", &[Some("linux/arm64")]), None);
        assert!(Platform::host().rank(&Platform::host()).is_some());
    }
}
