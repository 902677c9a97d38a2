//! The appliance's daemon: decides what each node boots, follows its installation, shows and records it.
//!
//! ```text
//! nodes ──nginx──► nodes (boot, seed, report) ─┐                       ┌─► page, API, metrics ◄──nginx── people, programs
//! dnsmasq ──► dhcp events ─────────────────────┼─► registry ─► store ──┤
//! time ────────────────────────────────────────┘   (state)             └─► CLI, webhooks
//! ```
//! | module | purpose |
//! |---|---|
//! | `state` | the states of a node and the only ways between them; pure |
//! | `store` | SQLite: states, tokens, events, the hash-chained audit log |
//! | `registry` | the one door to both: boot, seed, report, arm, disarm, time |
//! | `control` | operations on nodes' BMCs: one at a time for each node, to their end |
//! | `pen` | machines that are in no inventory |
//! | `webhooks` | changes, told to other programs until they take them |
//! | `nodes` | HTTP for nodes: boot, seed, report |
//! | `dhcp` | what dnsmasq tells |
//! | `admin` | HTTP for people and programs: page, API, metrics, health |
//! | `seed` | what a deployment brings at the first boots: the state disk, the secrets |
//! | `spelling` | lengths of time in words |
//! | `serve` | the daemon: listens, watches the time |
//! | `cli` | arguments and commands |

pub mod admin;
pub mod app;
pub mod cli;
pub mod control;
pub mod dhcp;
pub mod nodes;
pub mod pen;
pub mod registry;
pub mod seed;
pub mod serve;
mod spelling;
pub mod state;
pub mod store;
pub mod webhooks;
