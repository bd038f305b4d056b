//! The plugin as a program of its own: for the tests, and for nodes on which another runtime executes it as `windlass`. The
//! `windlass` binary contains it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass_cni::plugin::main()
}
