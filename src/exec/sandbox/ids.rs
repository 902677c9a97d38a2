//! Id maps: which ids of the host stand behind the sandbox's ids 0..65535.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::SandboxError;

/// Ids 0..65535 inside.
const COUNT: u32 = 65536;
/// Where root's sandboxes live, when the host has that many ids: far from every user, below systemd's container range's end.
const ROOT_BASE: u32 = 0x6fff_0000;

/// Writes the id maps of a child that has just made its user namespace.
pub(super) fn write_maps(pid: u32) -> Result<(), SandboxError> {
    let uid = Uid::effective();
    if uid.is_root() {
        return write_maps_as_root(pid);
    }
    let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let gid = nix::unistd::Gid::effective().as_raw();
    run_newidmap("newuidmap", pid, uid.as_raw(), subordinate("/etc/subuid", &user, uid)?)?;
    run_newidmap("newgidmap", pid, gid, subordinate("/etc/subgid", &user, uid)?)
}

fn write_maps_as_root(pid: u32) -> Result<(), SandboxError> {
    let base = match fs::read_to_string("/proc/self/uid_map") {
        Ok(map) if covers(&map, ROOT_BASE) => ROOT_BASE,
        _ => 0,
    };
    for name in ["gid_map", "uid_map"] {
        fs::write(format!("/proc/{pid}/{name}"), format!("0 {base} {COUNT}\n"))
            .map_err(|source| SandboxError::Setup { step: format!("write {name}"), source })?;
    }
    Ok(())
}

/// Whether a uid_map (proc(5): inside, outside, count) holds `COUNT` ids from `base` on.
fn covers(map: &str, base: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [inside, _, count]
            if inside <= base.into() && u64::from(base) + u64::from(COUNT) <= inside + count)
    })
}

/// First id of the user's first range of at least 65535 ids in subuid(5) or subgid(5).
fn subordinate(file: &'static str, user: &str, uid: Uid) -> Result<u32, SandboxError> {
    let text = fs::read_to_string(file).unwrap_or_default();
    first_range(&text, user, &uid.to_string())
        .ok_or_else(|| SandboxError::NoSubordinateIds { user: user.to_owned(), file })
}

fn first_range(text: &str, user: &str, uid: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let start: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        ((owner == user || owner == uid) && count >= COUNT - 1).then_some(start)
    })
}

fn run_newidmap(program: &'static str, pid: u32, own: u32, start: u32) -> Result<(), SandboxError> {
    let rest = (COUNT - 1).to_string();
    let output = Command::new(program)
        .args([&pid.to_string(), "0", &own.to_string(), "1", "1", &start.to_string(), &rest])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| SandboxError::Mapping { program, reason: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SandboxError::Mapping { program, reason })
}

/// Turns a step that the kernel refused into its cause and its remedy, where the host's settings tell them.
///
/// AppArmor lets the namespace be made and refuses what is done in it, so every step's refusal is looked at.
pub(super) fn explain(step: String, source: io::Error) -> SandboxError {
    let knob = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let forbidden =
        |reason: &str, remedy: &str| SandboxError::Forbidden { reason: reason.to_owned(), remedy: remedy.to_owned() };
    let limit = matches!(source.raw_os_error(), Some(nix::libc::ENOSPC | nix::libc::EUSERS));
    let refused = matches!(source.raw_os_error(), Some(nix::libc::EPERM | nix::libc::EACCES));
    let root = Uid::effective().is_root();
    if refused && !root && knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return forbidden(
            "AppArmor restricts them on this host",
            "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile with 'userns,' for \
             provbuild), or run provbuild as root",
        );
    }
    if refused && !root && knob("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return forbidden(
            "kernel.unprivileged_userns_clone is 0",
            "as root: sysctl -w kernel.unprivileged_userns_clone=1, or run provbuild as root",
        );
    }
    if limit && step.contains("namespace") {
        return forbidden("the limit of namespaces is reached", "as root: sysctl -w user.max_user_namespaces=15000");
    }
    if refused && step == super::enter::UNSHARE_USER {
        return forbidden(
            &source.to_string(),
            "inside a container, start it with user namespaces allowed (for example --security-opt seccomp=unconfined)",
        );
    }
    SandboxError::Setup { step, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_covers_a_range_or_does_not() {
        assert!(covers("         0          0 4294967295\n", ROOT_BASE));
        assert!(!covers("0 100000 65536\n", ROOT_BASE));
        assert!(covers("0 100000 65536\n", 0));
        assert!(!covers("garbage", 0));
    }

    #[test]
    fn subordinate_ranges_by_name_or_number_and_large_enough() {
        let text = "alice:100000:65536\n1001:200000:65536\nbob:300000:1000\n";
        assert_eq!(first_range(text, "alice", "1000"), Some(100_000));
        assert_eq!(first_range(text, "carol", "1001"), Some(200_000));
        assert_eq!(first_range(text, "bob", "1002"), None);
    }
}
