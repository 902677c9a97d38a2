//! BIOS settings, readings, inventory and virtual media against a BMC that does not exist (redfish-simulator), and SUM's stub.
//!
//! Invariant of each test of a fault: nothing was written that the test does not name.

mod bios;
mod common;
mod media;
mod odd;
mod readings;
mod sum;
