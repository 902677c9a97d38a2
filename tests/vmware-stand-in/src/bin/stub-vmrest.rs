//! A stub of VMware's vmrest, for tests.

fn main() {}
