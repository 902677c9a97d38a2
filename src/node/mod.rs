//! The nodes' BMCs, from the operator's own machine: one verb on one node, on several or on all.
//!
//! In: the checked profile and its inventory, credentials by reference. Out: an outcome or an error for each node.
//!
//! ```text
//! select (which nodes, what is missing) ─► fleet (all at once) ─► bmc
//!                                     └──► install ─► appliance (arm, events) and bmc
//! ```

// They panic where the reader has gone away: between off and on that leaves a machine off.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod appliance;
mod error;
mod events;
mod fleet;
mod install;
mod interrupt;
mod pins;
mod select;

pub use appliance::{Appliance, ApplianceError, ApplianceTrust, Token, pin_name};
pub use error::{Kind, NodeError};
pub use fleet::{AT_ONCE, Watch, run};
pub use install::{Install, Installed, Prospect};
pub use interrupt::Interrupt;
pub use pins::PinFile;
pub use select::{Job, Setup, Unfit, fitting, select};
