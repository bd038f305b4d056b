//! The supervisor of the containers that the integration tests run.

fn main() {
    let mut args = std::env::args_os().skip(1);
    assert_eq!(args.next().as_deref(), Some("windlass-supervisor".as_ref()), "this program is for integration tests");
    windlass_runtime::supervisor::main(args)
}
