//! How often one address may try secrets that are none.
//!
//! Secrets have 128 bits, so this keeps no guess from succeeding that could; it keeps guessing from costing much, and shows it in
//! the metrics. Memory is bounded: with more addresses than it holds, the oldest is forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Failures that are answered, in one [`WINDOW`].
const FAILURES: u32 = 10;
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// Addresses that are remembered.
const ADDRESSES: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Limit {
    tried: Mutex<BTreeMap<Option<IpAddr>, Tries>>,
}

#[derive(Debug)]
struct Tries {
    since: Timestamp,
    failures: u32,
}

impl Limit {
    /// Whether the address has failed too often lately.
    pub(super) fn reached(&self, address: Option<IpAddr>, now: Timestamp) -> bool {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried
            .get(&network(address))
            .is_some_and(|t| t.failures >= FAILURES && now.duration_since(t.since).abs() < WINDOW)
    }

    pub(super) fn failed(&self, address: Option<IpAddr>, now: Timestamp) {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network(address);
        if tried.len() >= ADDRESSES && !tried.contains_key(&key) {
            tried.retain(|_, tries| now.duration_since(tries.since).abs() < WINDOW);
            let oldest = tried.iter().min_by_key(|(_, tries)| tries.since).map(|(key, _)| *key);
            if let Some(oldest) = oldest.filter(|_| tried.len() >= ADDRESSES) {
                tried.remove(&oldest);
            }
        }
        let tries = tried.entry(key).or_insert(Tries { since: now, failures: 0 });
        if now.duration_since(tries.since).abs() >= WINDOW {
            *tries = Tries { since: now, failures: 0 };
        }
        tries.failures = tries.failures.saturating_add(1);
    }
}

/// A host has a whole /64 of IPv6.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    match address {
        Some(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_none() => {
            Some(IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    #[test]
    fn failures_count_by_network_and_end() {
        let limit = Limit::default();
        let address = |text: &str| Some(text.parse().unwrap());
        for last in 0..FAILURES {
            assert!(!limit.reached(address("2001:db8::1"), NOW));
            limit.failed(address(&format!("2001:db8::{last:x}")), NOW);
        }
        assert!(limit.reached(address("2001:db8::ffff"), NOW));
        assert!(!limit.reached(address("2001:db8:0:1::1"), NOW));
        assert!(!limit.reached(address("2001:db8::1"), NOW + WINDOW));
    }

    #[test]
    fn memory_is_bounded() {
        let limit = Limit::default();
        for number in 0..(ADDRESSES as u32 * 3) {
            limit.failed(Some(IpAddr::from(number.to_be_bytes())), NOW);
        }
        assert_eq!(limit.tried.lock().unwrap().len(), ADDRESSES);
    }
}
