//! A stub of VMware's vmrun, for tests.

fn main() {}
