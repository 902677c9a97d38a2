//! The real daemon as a process of its own: started, asked, killed, started again.

mod certificate;
mod crash;
mod damage;
mod dhcp_event;
mod harness;
mod receiver;
mod seed;
mod webhooks;
