//! A node's baseboard management controller (BMC): Redfish, and Supermicro's SUM where a board's Redfish cannot do it.
//!
//! ```text
//! command ─► Verb ─► Machine::run ─► service (ids, quirks) ─► power, boot, boot_order, bios, media ─► client ─► BMC
//!                         │                                   status, sensors, inventory, raw
//!                         └────────► Outcome, or Error (a kind, what failed, a remedy)
//! ```
//! Sources: DSP0266 (the protocol), DSP0268 (the data model). Invariants: nothing that was written counts until it was read back; a
//! password is sent only to the certificate that was pinned; what a BMC says is hostile text until it is made [`plain`].

mod bios;
mod boot;
mod boot_order;
mod cause;
mod client;
mod command;
mod credentials;
mod endpoint;
mod error;
mod gather;
mod inventory;
mod machine;
mod media;
mod outcome;
mod patience;
mod plain;
mod power;
mod quirks;
mod raw;
mod sensors;
mod service;
mod status;
mod step;
mod sum;
mod trust;
mod verb;

pub use bios::{BiosApplied, BiosAttribute, BiosAttributes, BiosChange, BiosDiff, BiosPlan, Way};
pub use boot::{BootMode, BootOverride, BootTarget};
pub use boot_order::{BootEntry, BootOrder};
pub use cause::{root_cause, tls_error};
pub use client::Message;
pub use command::{Command, Nodes};
pub use credentials::{BadCredentials, Credentials};
pub use endpoint::Endpoint;
pub use error::{Error, Kind};
pub use inventory::{Drive, Firmware, Hardware, MemoryModule, Nic, Processor};
pub use machine::Machine;
pub use media::Media;
pub use outcome::Outcome;
pub use patience::Patience;
pub use plain::plain;
pub use power::{PowerAction, PowerChange};
pub use raw::Raw;
pub use sensors::{Sensor, Sensors};
pub use status::Status;
pub use step::{Step, Steps};
pub use sum::SumTool;
pub use trust::{Fingerprint, OTHER_CERTIFICATE, PinError, Pins, Trust, any_tls_config, tls_config, tls_config_by};
pub use verb::{Manner, Verb};
