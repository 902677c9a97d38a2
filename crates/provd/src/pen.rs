//! The pen: machines that are in no inventory, as DHCP and boot requests show them.
//!
//! In: sightings, whose texts come from the network and may be anything. Out: the machines, each with what a stanza of nodes.toml
//! could say. Invariants: at most [`LIMIT`] machines, the longest unseen goes first; no text in here is longer than its limit or
//! holds anything but printable ASCII; no machine of the inventory is in here. The pen lives in memory, and [`Pen::flush`]
//! writes what is worth it: a flood of made-up addresses costs the disk at most [`ROWS`] rows for each call.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use netboot::{Declared, Hostname, MacAddr};
use rusqlite::{Connection, params};
use serde::Serialize;

use crate::store::{Store, StoreError, parsed};

/// Machines that are kept.
pub const LIMIT: usize = 1000;
/// Rows that one flush writes at most.
const ROWS: usize = 50;
/// The time between two writings of one machine.
const REST: SignedDuration = SignedDuration::from_secs(60);
/// Characters that are kept of a name or a vendor class.
const TEXT: usize = 128;
/// Characters that are kept of a fingerprint: 255 options in DHCP's longest list.
const FINGERPRINT: usize = 1024;

/// A machine that is in no inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stranger {
    pub mac: MacAddr,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub address: Option<IpAddr>,
    /// DHCP option 55, numbers with commas.
    pub fingerprint: Option<String>,
    /// DHCP option 60.
    pub vendor: Option<String>,
    /// DHCP option 12.
    pub hostname: Option<String>,
    /// A name for the inventory that no node has.
    pub proposed_hostname: Option<String>,
    /// An address for the inventory: in the subnet, outside the dynamic range, of no node and of no other machine in here.
    pub proposed_address: Option<Ipv4Addr>,
}

/// What was seen of one, at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    pub address: Option<IpAddr>,
    pub fingerprint: Option<String>,
    pub vendor: Option<String>,
    pub hostname: Option<String>,
}

pub struct Pen {
    store: Arc<Store>,
    inventory: Taken,
    memory: Mutex<Memory>,
}

/// What the inventory has taken already.
#[derive(Default)]
struct Taken {
    macs: BTreeSet<MacAddr>,
    names: BTreeSet<String>,
    addresses: BTreeSet<Ipv4Addr>,
    /// Network, broadcast address, and the dynamic range.
    subnet: Option<(u32, u32)>,
    dynamic: Option<(u32, u32)>,
}

#[derive(Default)]
struct Memory {
    loaded: bool,
    strangers: BTreeMap<MacAddr, Kept>,
    /// Rows that must go from the disk.
    gone: BTreeSet<MacAddr>,
}

struct Kept {
    stranger: Stranger,
    /// When its row was written.
    written: Option<Timestamp>,
    changed: bool,
}

impl Pen {
    pub fn new(store: Arc<Store>) -> Self {
        Pen { store, inventory: Taken::default(), memory: Mutex::default() }
    }

    /// The pen of a site: without its nodes, and with proposals that fit the network.
    pub fn of_site(store: Arc<Store>, declared: &Declared) -> Self {
        Pen { inventory: Taken::of(declared), ..Pen::new(store) }
    }

    /// Notes a machine; whether it is new.
    ///
    /// # Errors
    /// The store cannot be read. Nothing is written here.
    pub fn note(&self, mac: MacAddr, seen: &Sighting, now: Timestamp) -> Result<bool, StoreError> {
        if self.inventory.macs.contains(&mac) {
            return Ok(false);
        }
        let mut memory = self.loaded()?;
        let new = !memory.strangers.contains_key(&mac);
        if new && memory.strangers.len() >= LIMIT {
            memory.forget_the_oldest();
        }
        // A row that was to go may still be on the disk.
        let written = memory.gone.remove(&mac).then_some(now);
        let kept = memory.strangers.entry(mac).or_insert_with(|| Kept { written, ..Kept::new(mac, now) });
        kept.stranger.merge(seen, now);
        kept.changed = true;
        Ok(new)
    }

    /// All of them, the last seen first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn all(&self) -> Result<Vec<Stranger>, StoreError> {
        let memory = self.loaded()?;
        let mut strangers: Vec<Stranger> = memory.strangers.values().map(|kept| kept.stranger.clone()).collect();
        drop(memory);
        // The longest known keeps its proposal when others come.
        strangers.sort_by_key(|stranger| (stranger.first_seen, stranger.mac));
        self.inventory.propose(&mut strangers);
        strangers.sort_by_key(|stranger| (std::cmp::Reverse(stranger.last_seen), stranger.mac));
        Ok(strangers)
    }

    /// Forgets a machine until it is seen again; whether it was known.
    ///
    /// # Errors
    /// The store cannot be read or written; the machine stays.
    pub fn forget(&self, mac: MacAddr) -> Result<bool, StoreError> {
        let mut memory = self.loaded()?;
        if !memory.strangers.contains_key(&mac) {
            return Ok(false);
        }
        self.store.write(|transaction| {
            transaction.prepare_cached("DELETE FROM pen WHERE mac = ?")?.execute([mac.to_string()])?;
            Ok(())
        })?;
        memory.strangers.remove(&mac);
        Ok(true)
    }

    /// Writes what has changed: a bounded number of rows, in one transaction, and none that was written a short time ago.
    ///
    /// # Errors
    /// The store cannot be written; what was not written is at a later call.
    pub fn flush(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut memory = self.loaded()?;
        let rested = |kept: &Kept| kept.written.is_none_or(|written| now.duration_since(written).abs() >= REST);
        let due = memory.strangers.iter().filter(|(_, kept)| kept.changed && rested(kept)).map(|(mac, _)| *mac);
        let due: Vec<MacAddr> = due.take(ROWS).collect();
        let gone: Vec<MacAddr> = memory.gone.iter().copied().take(ROWS).collect();
        if due.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.store.write(|transaction| {
            for mac in &gone {
                transaction.prepare_cached("DELETE FROM pen WHERE mac = ?")?.execute([mac.to_string()])?;
            }
            due.iter().filter_map(|mac| memory.strangers.get(mac)).try_for_each(|kept| kept.stranger.write(transaction))
        })?;
        for mac in gone {
            memory.gone.remove(&mac);
        }
        for mac in due {
            if let Some(kept) = memory.strangers.get_mut(&mac) {
                (kept.written, kept.changed) = (Some(now), false);
            }
        }
        Ok(())
    }

    /// The stanza for nodes.toml: complete but for the installer, where a name and an address could be proposed.
    pub fn stanza(stranger: &Stranger) -> String {
        let Stranger { mac, first_seen, last_seen, address, vendor, hostname, .. } = stranger;
        let mut seen = format!("# Seen from {first_seen:.0} to {last_seen:.0}");
        if let Some(address) = address {
            seen += &format!(", at {address}");
        }
        // Printable ASCII without a line's end: nothing leaves the comment.
        for (what, text) in [("calls itself", hostname), ("vendor", vendor)] {
            if let Some(text) = text {
                seen += &format!("; {what}: {}", printable(text, TEXT));
            }
        }
        let name = stranger.proposed_hostname.clone().unwrap_or_default();
        let mut stanza = format!("{seen}\n[[node]]\nhostname = \"{name}\"\nmac = \"{mac}\"\n");
        stanza += &match stranger.proposed_address {
            Some(address) => format!("address = \"{address}\"\n"),
            None => "address = \"\" # no address of the subnet is free for it\n".to_owned(),
        };
        stanza + "# install = \"NAME OF AN INSTALLER\"\n"
    }

    /// The memory, read from the disk at the first use: without machines that have become nodes.
    fn loaded(&self) -> Result<MutexGuard<'_, Memory>, StoreError> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if !memory.loaded {
            for stranger in self.store.read(Stranger::all)? {
                if self.inventory.macs.contains(&stranger.mac) || memory.strangers.len() >= LIMIT {
                    memory.gone.insert(stranger.mac);
                } else {
                    let written = Some(stranger.last_seen);
                    memory.strangers.insert(stranger.mac, Kept { stranger, written, changed: false });
                }
            }
            memory.loaded = true;
        }
        Ok(memory)
    }
}

impl Memory {
    fn forget_the_oldest(&mut self) {
        let oldest = self.strangers.values().min_by_key(|kept| kept.stranger.last_seen).map(|kept| kept.stranger.mac);
        if let Some(Kept { written: Some(_), stranger, .. }) = oldest.and_then(|mac| self.strangers.remove(&mac)) {
            self.gone.insert(stranger.mac);
        }
    }
}

impl Kept {
    fn new(mac: MacAddr, now: Timestamp) -> Kept {
        let stranger = Stranger {
            mac,
            first_seen: now,
            last_seen: now,
            address: None,
            fingerprint: None,
            vendor: None,
            hostname: None,
            proposed_hostname: None,
            proposed_address: None,
        };
        Kept { stranger, written: None, changed: true }
    }
}

impl Stranger {
    /// What is seen now replaces what was; what is not seen now stays.
    fn merge(&mut self, seen: &Sighting, now: Timestamp) {
        let Sighting { address, fingerprint, vendor, hostname } = seen;
        self.last_seen = self.last_seen.max(now);
        self.address = address.or(self.address);
        let numbers = fingerprint
            .as_deref()
            .map(|text| text.chars().filter(|c| c.is_ascii_digit() || *c == ',').take(FINGERPRINT).collect::<String>());
        let text = |text: &Option<String>| text.as_deref().map(|text| printable(text, TEXT));
        for (known, new) in
            [(&mut self.fingerprint, numbers), (&mut self.vendor, text(vendor)), (&mut self.hostname, text(hostname))]
        {
            if let Some(new) = new.filter(|new| !new.is_empty()) {
                *known = Some(new);
            }
        }
    }

    fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        let Stranger { mac, first_seen, last_seen, address, fingerprint, vendor, hostname, .. } = self;
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO pen (mac, first_seen, last_seen, address, fingerprint, vendor, hostname)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                mac.to_string(),
                first_seen.to_string(),
                last_seen.to_string(),
                address.map(|address| address.to_string()),
                fingerprint,
                vendor,
                hostname
            ])?;
        Ok(())
    }

    fn all(connection: &Connection) -> Result<Vec<Stranger>, StoreError> {
        let mut statement = connection.prepare_cached(
            "SELECT mac, first_seen, last_seen, address, fingerprint, vendor, hostname FROM pen ORDER BY last_seen DESC",
        )?;
        let mut rows = statement.query([])?;
        let mut strangers = Vec::new();
        while let Some(row) = rows.next()? {
            let mut kept = Kept::new(parsed(&row.get::<_, String>(0)?)?, parsed(&row.get::<_, String>(1)?)?).stranger;
            kept.last_seen = parsed(&row.get::<_, String>(2)?)?;
            kept.address = row.get::<_, Option<String>>(3)?.as_deref().map(parsed).transpose()?;
            (kept.fingerprint, kept.vendor, kept.hostname) = (row.get(4)?, row.get(5)?, row.get(6)?);
            strangers.push(kept);
        }
        Ok(strangers)
    }
}

impl Taken {
    fn of(declared: &Declared) -> Taken {
        let site = &declared.site;
        let nodes = &declared.inventory.nodes;
        let mut addresses: BTreeSet<Ipv4Addr> = nodes.iter().map(|node| node.address).collect();
        addresses.extend(nodes.iter().filter_map(|node| Some(node.bmc.as_ref()?.address)));
        addresses.extend([Some(site.server), site.gateway].into_iter().flatten());
        let bmcs = nodes.iter().filter_map(|node| node.bmc.as_ref()?.mac);
        let mut names: BTreeSet<String> = nodes.iter().map(|node| node.hostname.to_string()).collect();
        names.insert(declared.name.clone());
        Taken {
            macs: nodes.iter().map(|node| node.mac).chain(bmcs).collect(),
            names,
            addresses,
            subnet: Some((site.subnet.network().to_bits(), site.subnet.broadcast().to_bits())),
            dynamic: site.dynamic.map(|[first, last]| (first.to_bits(), last.to_bits())),
        }
    }

    /// Gives each a name and an address of its own.
    fn propose(&self, strangers: &mut [Stranger]) {
        let mut names = self.names.clone();
        let mut addresses = self.addresses.clone();
        addresses.extend(strangers.iter().filter_map(|stranger| match stranger.address {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        }));
        // Behind the last node is where people go on; the gaps before it come after that.
        let behind = self.addresses.iter().rev().map(|address| address.to_bits() + 1);
        let (first, last) =
            self.subnet.map_or((1, 0), |(network, broadcast)| (network + 1, broadcast.saturating_sub(1)));
        let mut next = behind.clone().find(|next| (first..=last).contains(next)).unwrap_or(first);
        let mut wrapped = next == first;
        for stranger in strangers {
            stranger.proposed_hostname = Some(name_for(stranger, &names));
            names.extend(stranger.proposed_hostname.clone());
            loop {
                match self.dynamic {
                    Some((start, end)) if (start..=end).contains(&next) => next = end.saturating_add(1),
                    _ if next > last && !wrapped => (next, wrapped) = (first, true),
                    _ if next > last => break,
                    _ if !addresses.insert(Ipv4Addr::from_bits(next)) => next += 1,
                    _ => {
                        stranger.proposed_address = Some(Ipv4Addr::from_bits(next));
                        next += 1;
                        break;
                    }
                }
            }
        }
    }
}

/// The name that the machine gives itself, if it is one and is free; else one made of its address.
fn name_for(stranger: &Stranger, taken: &BTreeSet<String>) -> String {
    let own = stranger.hostname.as_deref().map(|name| name.split('.').next().unwrap_or_default().to_ascii_lowercase());
    let own = own.filter(|name| name.parse::<Hostname>().is_ok() && !taken.contains(name));
    let digits: String = stranger.mac.hyphenated().split('-').skip(3).collect();
    let short = Some(format!("node-{digits}")).filter(|name| !taken.contains(name));
    own.or(short).unwrap_or_else(|| format!("node-{}", stranger.mac.hyphenated()))
}

/// A text from the network as it may be kept and shown: printable ASCII, of a bounded length.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let shown = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().take(limit).map(shown).collect::<String>().trim().to_owned()
}

#[cfg(test)]
#[path = "pen_tests.rs"]
mod tests;
