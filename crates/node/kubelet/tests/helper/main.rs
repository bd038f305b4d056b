//! What the integration tests start as a process of its own: the container supervisor.

fn main() {
    let mut args = std::env::args_os().skip(1);
    match args.next().and_then(|role| role.into_string().ok()).as_deref() {
        Some("windlass-supervisor") => windlass_runtime::supervisor::main(args),
        other => panic!("unknown role {other:?}: this program is for the integration tests"),
    }
}
