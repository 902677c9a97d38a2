//! The real daemon as a process of its own: started, asked, killed, started again.

mod certificate;
mod crash;
mod damage;
mod dnsmasq;
mod harness;
mod receiver;
mod webhooks;
