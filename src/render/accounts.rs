//! Login accounts: the distribution's passwd(5), shadow(5), group(5) and gshadow(5) with the profile's users added.

use super::canvas::{Canvas, ROOT_ONLY};
use super::{Fault, provd};
use crate::profile::{Profile, User};
use crate::tree::{Change, Kind, Node};
use crate::vocab::{Epoch, ImagePath, Mode, Owner};

const FIRST_UID: u32 = 1000;
/// As Debian's and Ubuntu's policy has it; from here on ids are dynamic or reserved.
const LAST_UID: u32 = 59_999;
/// Groups that a user with sudo joins where the distribution has them: reading the logs needs no root.
const LOG_GROUPS: [&str; 2] = ["adm", "systemd-journal"];
/// And the one that may speak with the daemon: whoever can become root can do that as well.
const CONTROL_GROUP: &str = provd::ACCOUNT;

/// A file of colon-separated records, in its order.
struct Table {
    path: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(canvas: &mut Canvas<'_>, path: &'static str, columns: usize) -> Option<Table> {
        if !canvas.has(path, "the accounts", "base-passwd") {
            return None;
        }
        let text = canvas.text(path)?;
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let row: Vec<String> = line.split(':').map(str::to_owned).collect();
            if row.len() == columns && !row[0].is_empty() {
                rows.push(row);
            } else if !line.is_empty() {
                canvas.faults.push(Fault::Accounts { path: ImagePath::literal(path), line: index + 1 });
            }
        }
        Some(Table { path, rows })
    }

    fn has(&self, name: &str) -> bool {
        self.rows.iter().any(|row| row[0] == name)
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().filter_map(|row| row[2].parse().ok())
    }

    /// Adds a member to a group's list, the last column.
    fn join(&mut self, group: &str, member: &str) {
        for row in self.rows.iter_mut().filter(|row| row[0] == group) {
            if let Some(members) = row.last_mut() {
                if !members.is_empty() {
                    members.push(',');
                }
                members.push_str(member);
            }
        }
    }

    fn push(&mut self, row: &[&str]) {
        self.rows.push(row.iter().map(|&field| field.to_owned()).collect());
    }

    /// Writes the table back with mode and owner as the distribution has them.
    fn write(self, canvas: &mut Canvas<'_>) {
        let text: String = self.rows.iter().map(|row| row.join(":") + "\n").collect();
        let before = canvas.base.tree.get(&ImagePath::literal(self.path)).cloned();
        canvas.file_with(self.path, text, |node| match before {
            Some(Node { kind: Kind::File(_), mode, owner, .. }) => node.with_mode(mode).with_owner(owner),
            _ => node,
        });
    }
}

/// `daemon`: whether provd runs there, and needs an account.
pub(super) fn render(canvas: &mut Canvas<'_>, profile: &Profile, epoch: Epoch, daemon: bool) {
    let tables = (
        Table::read(canvas, "/etc/passwd", 7),
        Table::read(canvas, "/etc/shadow", 9),
        Table::read(canvas, "/etc/group", 4),
        Table::read(canvas, "/etc/gshadow", 4),
    );
    let (Some(mut passwd), Some(mut shadow), Some(mut group), Some(mut gshadow)) = tables else { return };
    for row in shadow.rows.iter_mut().filter(|row| row[0] == "root") {
        row[1] = "!".to_owned();
    }
    let days = epoch.days().to_string();
    if daemon {
        let (name, id) = (provd::ACCOUNT, provd::ID.to_string());
        let taken = passwd.has(name) || group.has(name) || passwd.ids().chain(group.ids()).any(|id| id == provd::ID);
        if taken {
            canvas.faults.push(Fault::DaemonAccountTaken { name, id: provd::ID });
        }
        passwd.push(&[name, "x", &id, &id, "provbuild daemon", "/nonexistent", "/usr/sbin/nologin"]);
        shadow.push(&[name, "!*", &days, "", "", "", "", "", ""]);
        group.push(&[name, "x", &id, ""]);
        gshadow.push(&[name, "!*", "", ""]);
    }
    let users = &profile.appliance.users;
    let mut next = FIRST_UID;
    for user in users {
        let name = user.name.as_str();
        if passwd.has(name) || group.has(name) {
            canvas.faults.push(Fault::AccountTaken { name: name.to_owned() });
            continue;
        }
        while passwd.ids().chain(group.ids()).any(|taken| taken == next) && next < LAST_UID {
            next += 1;
        }
        let (id, home) = (next.to_string(), format!("/home/{name}"));
        passwd.push(&[name, "x", &id, &id, "", &home, "/bin/bash"]);
        shadow.push(&[name, user.password_hash.as_deref().unwrap_or("!"), &days, "0", "99999", "7", "", "", ""]);
        group.push(&[name, "x", &id, ""]);
        gshadow.push(&[name, "!", "", ""]);
        if user.sudo {
            for joined in LOG_GROUPS.into_iter().chain([CONTROL_GROUP]) {
                group.join(joined, name);
                gshadow.join(joined, name);
            }
        }
        home_directory(canvas, user, Owner { uid: next, gid: next });
    }
    [passwd, shadow, group, gshadow].into_iter().for_each(|table| table.write(canvas));
    sudo(canvas, users);
}

fn home_directory(canvas: &mut Canvas<'_>, user: &User, owner: Owner) {
    let home = format!("/home/{}", user.name);
    let directory = Node::directory().with_mode(Mode::new(0o700)).with_owner(owner);
    canvas.overlay.change(ImagePath::literal(&home), Change::Replace(directory.clone()));
    let skeleton = ImagePath::literal("/etc/skel");
    let files: Vec<_> = canvas
        .base
        .tree
        .below(&skeleton)
        .filter(|(_, node)| matches!(node.kind, Kind::File(_) | Kind::Directory))
        .filter_map(|(path, node)| Some((path.as_str().strip_prefix("/etc/skel/")?.to_owned(), node.clone())))
        .filter(|(name, _)| name != ".ssh" && !name.starts_with(".ssh/"))
        .collect();
    for (name, node) in files {
        canvas.overlay.change(ImagePath::literal(&format!("{home}/{name}")), Change::Replace(node.with_owner(owner)));
    }
    if !user.ssh_keys.is_empty() {
        canvas.overlay.change(ImagePath::literal(&format!("{home}/.ssh")), Change::Replace(directory));
        let keys: String = user.ssh_keys.iter().map(|key| format!("{}\n", key.trim_end())).collect();
        canvas.file_with(&format!("{home}/.ssh/authorized_keys"), keys, |node| {
            node.with_mode(ROOT_ONLY).with_owner(owner)
        });
    }
}

fn sudo(canvas: &mut Canvas<'_>, users: &[User]) {
    let lines: String = users
        .iter()
        .filter(|user| user.sudo)
        .map(|user| format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", user.name))
        .collect();
    if !lines.is_empty() && canvas.has("/usr/bin/sudo", "a user with sudo = true", "sudo") {
        canvas.file_with("/etc/sudoers.d/90-provbuild", lines, |node| node.with_mode(Mode::new(0o440)));
    }
}
