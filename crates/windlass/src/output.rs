//! What commands tell on standard output.

use std::fmt::Display;
use std::io::Write;

/// Prints a line. When nobody reads any more, nobody needs to be told.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
