//! Names that a profile may not take, and the first parts of time zones. Sorted, for binary search.

/// Users and groups of the appliance's packages, beside the names that Ubuntu's installer keeps for the system
/// (`netboot::lint::is_reserved_user`).
pub(super) const RESERVED_USERS: &[&str] = &[
    "_apt",
    "_chrony",
    "_rpc",
    "avahi",
    "halt",
    "landscape",
    "lxd",
    "ntp",
    "polkitd",
    "pollinate",
    "postfix",
    "provd",
    "shutdown",
    "tcpdump",
    "tftp",
    "tss",
    "ubuntu-core",
    "uuidd",
    "wheel",
];

/// Areas of the IANA time zone database that a configuration should name.
pub(super) const TIMEZONE_AREAS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(RESERVED_USERS.is_sorted());
        assert!(TIMEZONE_AREAS.is_sorted());
    }
}
