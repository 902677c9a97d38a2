//! The client and its verbs against a BMC that does not exist (redfish-simulator): by the book, and with each fault.
//!
//! Invariant of each test of a fault: the error's text is asserted, and so is that nothing was written or changed.

mod common;

mod boot;
mod login;
mod odd;
mod order;
mod power;
mod trust;
mod verbs;
mod wire;
