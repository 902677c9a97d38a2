//! For tests only: a BMC that does not exist, with a Redfish service over TLS that behaves by the book or with the faults that a test asks for.
//!
//! Input: a [`Model`]; output: a running [`Simulator`], whose [`State`] says what the machine really is. Invariant: without faults, DMTF's
//! validators find no failure (README.md has the commands); it listens where it is told to, and connects to nothing.

mod account;
mod etag;
mod faults;
mod messages;
mod model;
mod place;
mod power;
mod reply;
mod server;
mod service;
mod simulator;
mod state;
pub mod sum;
mod task;
mod tls;
mod tree;
mod view;
mod write;

pub use faults::{Cut, Fault, Lasts, Refuses};
pub use model::{Attribute, BootOption, Kind, Model, Vendor};
pub use reply::{Authentication, Recorded};
pub use simulator::Simulator;
pub use state::{Boot, BootOverride, CfgCd, Medium, Power, Session, State};
