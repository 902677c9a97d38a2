//! GRUB's scripts of the nodes that install, as files: TFTP has nobody who could decide at each request.
//!
//! Only nodes that may install, and are started through GRUB, have a file; without one GRUB's first script goes on to the machine's own disk. The file of a
//! node goes before its state says so on the disk: a daemon that is killed in between leaves a node that boots its own disk.

use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use std::collections::BTreeMap;

use jiff::Timestamp;
use netboot::MacAddr;

use super::{Registry, TOKENS_PER_ATTEMPT, boots_installer};
use crate::store::{Grant, Purpose, StoreError, StoredNode, Token};

/// The directory of the scripts; `None` where nothing is served by TFTP.
pub struct Scripts {
    directory: Option<PathBuf>,
}

impl Scripts {
    pub fn new(directory: Option<PathBuf>) -> Self {
        Scripts { directory }
    }

    fn path(&self, mac: MacAddr) -> Option<PathBuf> {
        Some(self.directory.as_ref()?.join(format!("{}.cfg", mac.hyphenated())))
    }

    fn write(&self, mac: MacAddr, text: &str) -> io::Result<()> {
        let Some(path) = self.path(mac) else { return Ok(()) };
        let aside = path.with_extension("new");
        // dnsmasq reads it as another user; the token inside is good from the node's address only.
        let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o644).open(&aside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(aside, path)
    }

    /// Takes a script away; one that cannot be taken away is told to the log, its token is revoked anyway.
    pub(super) fn remove(&self, mac: MacAddr) {
        let Some(path) = self.path(mac) else { return };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!("{}: {error}", path.display());
            }
            _ => {}
        }
    }

    /// Takes all scripts away.
    pub(super) fn clear(&self) {
        let entries = self.directory.as_ref().and_then(|directory| fs::read_dir(directory).ok());
        for entry in entries.into_iter().flatten().flatten() {
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::error!("{}: {error}", entry.path().display());
            }
        }
    }
}

impl Registry {
    /// Writes the script of a node, or takes it away where that cannot be done: the node stays armed, and GRUB goes on to its own
    /// disk.
    pub(super) fn publish(&self, memory: &BTreeMap<MacAddr, StoredNode>, mac: MacAddr, now: Timestamp) {
        if let Err(error) = self.try_publish(memory, mac, now) {
            self.scripts.remove(mac);
            tracing::error!("GRUB's script of {mac}: {error}");
        }
    }

    /// Writes the script of a node that may install, with a token of its own. Only nodes whose firmware enforces Secure Boot are
    /// started through GRUB: nobody else's script is where every machine of the network could read it.
    fn try_publish(
        &self,
        memory: &BTreeMap<MacAddr, StoredNode>,
        mac: MacAddr,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.scripts.directory.is_none() {
            return Ok(());
        }
        let (Some(node), Some(stored)) = (self.declared_node(mac), memory.get(&mac)) else { return Ok(()) };
        if !node.secure_boot {
            return Ok(());
        }
        let attempt = stored.state.attempt().filter(|attempt| boots_installer(&stored.state) && attempt.open(now));
        let Some(attempt) = attempt else {
            self.scripts.remove(mac);
            return Ok(());
        };
        let token = Token::new();
        let Some(answer) = self.installer_scripts(node, &attempt.installer, &token) else { return Ok(()) };
        let address = IpAddr::from(node.address);
        let grant = Grant { mac, attempt: attempt.number, address, expires: attempt.expires, revoked: false };
        let granted = self.store.write(|transaction| {
            let free = Grant::count(transaction, mac, attempt.number, Purpose::Seed)? < TOKENS_PER_ATTEMPT;
            if free {
                grant.add(transaction, &token, Purpose::Seed)?;
            }
            Ok(free)
        })?;
        if !granted {
            // An installer without its answers would wait for a person.
            self.scripts.remove(mac);
            return Ok(());
        }
        if let Err(error) = self.scripts.write(mac, &answer.grub) {
            tracing::error!("GRUB's script of {}: {error}", node.hostname);
        }
        Ok(())
    }
}
