//! The simulator, asked by a plain HTTP client: by the book when it is healthy, and every fault does what it says.

mod client;
mod faults;
mod healthy;
mod lifecycle;
mod vendors;
