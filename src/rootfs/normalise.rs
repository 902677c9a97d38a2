//! What configuring leaves behind that another run, another clock or another host would leave differently.
//!
//! Pure: a verdict per path, applied while the tree is read back. The list is the determinism checklist of
//! docs/reproducible.md.

use crate::vocab::{Epoch, ImagePath};

/// New contents of a regular file, from the old ones and the image's time.
pub(super) type Rewrite = fn(&[u8], Epoch) -> Vec<u8>;

/// What happens to a path of the configured tree.
#[derive(Debug)]
pub(super) enum Verdict {
    Keep,
    /// Leaves the path and everything below it out.
    Drop,
    /// Keeps a directory and leaves out what is in it.
    Empty,
    /// Replaces the contents of a regular file.
    Rewrite(Rewrite),
}

const DROP: [&str; 20] = [
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/etc/ssl/certs/ssl-cert-snakeoil.pem",
    "/etc/ssl/private/ssl-cert-snakeoil.key",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/dbus/machine-id",
    "/var/lib/apt/extended_states",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/triggers/Lock",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/catalog/database",
    "/var/cache/man/index.db",
    "/.dockerenv",
];

const EMPTY: [&str; 9] = [
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/var/cache/apt",
    "/var/lib/apt/lists",
    "/var/lib/dpkg/updates",
    "/var/tmp",
];

pub(super) fn verdict(path: &ImagePath) -> Verdict {
    let text = path.as_str();
    let name = path.file_name();
    if DROP.contains(&text)
        || (text.starts_with("/etc/ssh/ssh_host_") && text.contains("_key"))
        || (text.starts_with("/var/cache/debconf/") && text.ends_with("-old"))
        || (text.starts_with("/var/lib/dpkg/") && text.ends_with("-old"))
        || name == "__pycache__"
        || name.ends_with(".pyc")
        || (text.starts_with("/var/cache/fontconfig/") && name.ends_with(".cache-9"))
    {
        return Verdict::Drop;
    }
    if EMPTY.contains(&text) {
        return Verdict::Empty;
    }
    match text {
        "/etc/machine-id" => Verdict::Rewrite(|_, _| b"uninitialized\n".to_vec()),
        "/etc/shadow" => Verdict::Rewrite(clamp_shadow),
        _ if text.starts_with("/var/log/") => log_verdict(text),
        _ => Verdict::Keep,
    }
}

/// Logs of the build itself are left out; logs that a package has made for its service stay, empty.
fn log_verdict(text: &str) -> Verdict {
    const OF_THE_BUILD: [&str; 4] = ["alternatives.log", "bootstrap.log", "dpkg.log", "fontconfig.log"];
    let name = text.trim_start_matches("/var/log/");
    match OF_THE_BUILD.contains(&name) || name.starts_with("apt/") {
        true => Verdict::Drop,
        false => Verdict::Rewrite(|_, _| Vec::new()),
    }
}

/// shadow(5): the third field is the day of the last change; the build's day becomes the epoch's. Where pwconv(8) had no
/// password to move it leaves an `x`, which nothing matches; `!*` says that in the customary way.
fn clamp_shadow(bytes: &[u8], epoch: Epoch) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        let day = epoch.days().to_string();
        if fields.len() > 2 && !fields[2].is_empty() {
            fields[2] = &day;
        }
        if fields.get(1) == Some(&"x") {
            fields[1] = "!*";
        }
        out.push_str(&fields.join(":"));
        out.push('\n');
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Verdict {
        verdict(&ImagePath::literal(path))
    }

    #[test]
    fn what_differs_per_build_is_left_out_and_the_rest_stays() {
        for path in [
            "/etc/ssh/ssh_host_ed25519_key",
            "/etc/ssh/ssh_host_rsa_key.pub",
            "/var/log/dpkg.log",
            "/var/log/apt/history.log",
            "/usr/lib/python3/dist-packages/x/__pycache__",
            "/var/lib/dpkg/status-old",
            "/var/cache/debconf/config.dat-old",
        ] {
            assert!(matches!(of(path), Verdict::Drop), "{path}");
        }
        for path in ["/etc/ssh/sshd_config", "/var/lib/dpkg/status", "/var/log", "/etc/passwd"] {
            assert!(matches!(of(path), Verdict::Keep), "{path}");
        }
        assert!(matches!(of("/var/lib/apt/lists"), Verdict::Empty));
        assert!(matches!(of("/var/log/nginx/access.log"), Verdict::Rewrite(_)));
    }

    #[test]
    fn shadow_days_become_the_epochs() {
        let epoch = Epoch(86_400 * 20_000 + 5);
        assert_eq!(
            clamp_shadow(b"root:*:20781:0:99999:7:::\na:!::::::\nsshd:x:20781::::::\n", epoch),
            b"root:*:20000:0:99999:7:::\na:!::::::\nsshd:!*:20000::::::\n"
        );
    }
}
