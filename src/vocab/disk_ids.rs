//! Identities on the disk, derived instead of drawn: the same inputs give the same disk.

use uuid::Uuid;

use super::Digest;

/// UUIDv5 name space of provbuild's disks (a random UUID, fixed once).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_9d0e_4c57_4b8e_9b7f_52d1_0c3a_7e44);

/// Every identifier that the disk image carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskIds {
    /// GPT disk GUID.
    pub disk: Uuid,
    /// GPT partition GUIDs.
    pub esp_partition: Uuid,
    pub root_partition: Uuid,
    /// UUID of the root file system (fstab, kernel command line, GRUB's search).
    pub root_fs: Uuid,
    /// Seed of the ext4 directory hash.
    pub root_hash_seed: Uuid,
    /// FAT volume serial number of the ESP.
    pub esp_volume: u32,
}

impl DiskIds {
    /// Derives all identifiers from one seed, as UUIDv5 (RFC 9562, section 5.5) of the seed and the role's name.
    pub fn derive(seed: &Digest) -> Self {
        let id = |role: &str| Uuid::new_v5(&NAMESPACE, format!("{seed}/{role}").as_bytes());
        DiskIds {
            disk: id("disk"),
            esp_partition: id("esp-partition"),
            root_partition: id("root-partition"),
            root_fs: id("root-fs"),
            root_hash_seed: id("root-hash-seed"),
            esp_volume: id("esp-volume").as_fields().0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_disk_other_seed_other_disk() {
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert_eq!(DiskIds::derive(&one), DiskIds::derive(&one));
        assert_ne!(DiskIds::derive(&one).root_fs, DiskIds::derive(&two).root_fs);
        assert_ne!(DiskIds::derive(&one).root_fs, DiskIds::derive(&one).disk);
    }
}
