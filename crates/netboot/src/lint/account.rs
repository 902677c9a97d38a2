//! Who can log in to the installed system: identity, ssh, and the users of user-data.

use super::document::Sections;
use super::facts::Facts;
use super::is_reserved_user;
use super::report::Report;
use super::shape::shown;
use super::ssh_key;
use super::yaml::{Entry, Node, Value};
use crate::Hostname;
use crate::crypt::{self, Refusal};
use crate::suggest::nearest;

/// Keys of one of cloud-init's `users`. Source: cloud-init's module reference, "Users and Groups".
const USER_KEYS: &[&str] = &[
    "name",
    "create_groups",
    "doas",
    "expiredate",
    "gecos",
    "groups",
    "hashed_passwd",
    "homedir",
    "inactive",
    "lock_passwd",
    "no_create_home",
    "no_log_init",
    "no_user_group",
    "passwd",
    "plain_text_passwd",
    "primary_group",
    "selinux_user",
    "shell",
    "snapuser",
    "ssh_authorized_keys",
    "ssh_import_id",
    "ssh_redirect_user",
    "sudo",
    "system",
    "uid",
];

pub(super) fn check(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    let user_data = sections.get("user-data");
    match sections.get("identity") {
        Some(identity) => check_identity(identity, facts, report),
        None if sections.asks("identity") || resets_only(sections) => {}
        None => match user_data {
            None => {
                report
                    .error(&sections.at, "there is neither 'identity' nor 'user-data': the installer stops")
                    .help("add 'identity' with username, hostname and password, or 'user-data' with users");
            }
            Some(data) if data.map().is_some() && data.entry("users").is_none() => {
                report
                    .warning(
                        &sections.at("user-data"),
                        "there is no 'identity', and 'user-data' has no 'users': only cloud-init's default user is made",
                    )
                    .help("add 'users' to 'user-data', each with a key or a password to log in with");
            }
            Some(_) => {}
        },
    }
    if let Some(data) = user_data {
        check_users(data, report);
    }
    let shut = check_way_in(sections, report);
    check_ssh(sections, shut, report);
}

/// Only the reset partition is made: there is no system for anybody to log in to.
fn resets_only(sections: &Sections<'_>) -> bool {
    let layout = sections.get("storage").and_then(|storage| storage.get("layout"));
    layout.and_then(|layout| layout.get("reset-partition-only")).is_some_and(|only| only.is(true))
}

/// The users of cloud-init where no `identity` makes one: whether one of them can log in. True if none can.
fn check_way_in(sections: &Sections<'_>, report: &mut Report<'_>) -> bool {
    let Some(data) = sections.get("user-data") else { return false };
    let others = ["identity", "active-directory"].into_iter().any(|name| sections.get(name).is_some());
    let Some(users) = data.get("users").and_then(Node::list) else { return false };
    if others || sections.asks("identity") {
        return false;
    }
    let default = users.iter().any(|user| user.text() == Some("default"));
    let ssh_keys = sections.get("ssh").and_then(|ssh| ssh.entry("authorized-keys"));
    let keys: Vec<&Entry> = [ssh_keys, data.entry("ssh_authorized_keys"), data.entry("ssh_import_id")]
        .into_iter()
        .flatten()
        .filter(|keys| is_filled(&keys.value))
        .collect();
    for entry in keys.iter().filter(|_| !default) {
        report
            .warning(
                &entry.key.range,
                "these keys are for cloud-init's default user, and 'user-data.users' does not make it: nobody gets them",
            )
            .help("write them as 'ssh_authorized_keys' of a user, or add 'default' to 'users'");
    }
    let of_default = default && (!keys.is_empty() || data.entry("password").is_some());
    // It sets passwords of users by their names.
    let set = data.get("chpasswd").is_some_and(|set| ["list", "users"].iter().any(|key| set.entry(key).is_some()));
    let shut = !of_default && !set && !users.iter().any(|user| can_log_in(user));
    if shut {
        let place = data.entry("users").map_or_else(|| sections.at("user-data"), |users| users.key.range.clone());
        report
            .warning(&place, "none of the 'users' has a key, or a password that is not locked: nobody can log in")
            .help("add 'ssh_authorized_keys' to one of them, or 'passwd' with 'lock_passwd: false'");
    }
    shut
}

fn is_filled(keys: &Node) -> bool {
    keys.list().map_or(keys.text().is_some(), |keys| !keys.is_empty())
}

/// By a key, or at the console by a password.
fn can_log_in(user: &Node) -> bool {
    let password = ["passwd", "hashed_passwd", "plain_text_passwd"].into_iter().any(|key| field(user, key).is_some());
    // An account of Ubuntu's single sign-on brings its keys.
    has_key(user)
        || field(user, "snapuser").is_some()
        || password && field(user, "lock_passwd").is_some_and(|lock| lock.value.is(false))
}

fn has_key(user: &Node) -> bool {
    ["ssh_authorized_keys", "ssh_import_id"]
        .into_iter()
        .any(|key| field(user, key).is_some_and(|keys| is_filled(&keys.value)))
}

/// A user's entry; cloud-init takes '-' for '_' in these keys.
fn field<'a>(user: &'a Node, key: &str) -> Option<&'a Entry> {
    user.map()?.iter().find(|entry| entry.name().is_some_and(|name| name.replace('-', "_") == key))
}

fn check_identity(identity: &Node, facts: &Facts, report: &mut Report<'_>) {
    if let Some(name) = identity.get("username") {
        check_user_name(name, report);
    }
    if let Some(name) = identity.get("hostname")
        && let Some(text) = name.text()
        && !text.split('.').all(|label| label.to_lowercase().parse::<Hostname>().is_ok())
    {
        report
            .warning(&name.range, format!("'{}' is not a host name: the installer takes it as it is", shown(text)))
            .help("use letters, digits and inner '-'");
    }
    if let Some(password) = identity.get("password") {
        check_hash("identity.password", password, report);
    }
    if let Some(groups) = identity.entry("groups") {
        report
            .error(
                &groups.key.range,
                format!("'identity' knows no key 'groups' on {}: the installer refuses the section", facts.version),
            )
            .help("only installers from 26.04 on know it; add the user to groups by 'usermod' in 'late-commands'");
    }
}

fn check_user_name(name: &Node, report: &mut Report<'_>) {
    let Some(text) = name.text() else { return };
    if is_reserved_user(text) {
        report
            .error(&name.range, format!("the user name '{text}' is reserved by the system: newer installers refuse it, older ones leave it to the first boot"))
            .help("choose another one, for example 'ops'");
        return;
    }
    let letter = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let form =
        text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit() || b == b'-');
    if !form {
        report
            .error(
                &name.range,
                format!(
                    "'{}' is not a user name: newer installers refuse it, older ones leave it to the first boot",
                    shown(text)
                ),
            )
            .help("use lowercase letters, digits, '_' and '-', starting with a letter or '_'");
    } else if text.len() > 32 {
        report
            .error(&name.range, "the user name is longer than 32 characters: newer installers refuse it, older ones leave it to the first boot")
            .help("choose a shorter one");
    }
}

/// The text never becomes part of a message: it may be a password.
fn check_hash(path: &str, hash: &Node, report: &mut Report<'_>) {
    const HELP: &str = "make a hash with `mkpasswd --method=yescrypt` (package whois), and put it in single quotes";
    let Some(text) = hash.text() else { return };
    if matches!(text, "*" | "!" | "!!" | "!*") {
        let message =
            format!("'{path}' locks the password: the user logs in by ssh key only, and sudo knows no password");
        report.warning(&hash.range, message);
        return;
    }
    match crypt::check(text) {
        Ok(()) => {}
        Err(Refusal::Plain) => {
            report.error(&hash.range, format!("'{path}' is not a crypt(3) hash: nobody can log in with it")).help(HELP);
        }
        Err(Refusal::Weak(method)) => {
            let message =
                format!("the method '${method}$' of '{path}' is weak: whoever reads the hash finds the password");
            report.warning(&hash.range, message).help(HELP);
        }
        Err(refusal) => {
            report.error(&hash.range, format!("'{path}': {refusal}")).help(HELP);
        }
    }
}

/// cloud-init's `users`.
fn check_users(data: &Node, report: &mut Report<'_>) {
    check_keys(data.get("ssh_authorized_keys"), report);
    let Some(users) = data.entry("users") else { return };
    let Some(list) = users.value.list() else {
        if !matches!(users.value.value, Value::Text(_) | Value::Map(_)) {
            report.error(&users.key.range, format!("'user-data.users' is {}, and must be a list", users.value.kind()));
        }
        return;
    };
    for user in list.iter().filter(|user| user.map().is_some()) {
        match user.get("name") {
            Some(name) if name.text().is_none() => {
                report
                    .error(&name.range, format!("'user-data.users.name' is {}, and must be a text", name.kind()))
                    .help("put it in quotes: as it stands, YAML 1.1 reads it so");
            }
            Some(_) => {}
            None if user.entry("snapuser").is_some() => {}
            None => {
                report.error(&user.range, "this user has no 'name'").help("add 'name: ...'");
            }
        }
        let hash = field(user, "passwd").or_else(|| field(user, "hashed_passwd"));
        if let Some(hash) = hash {
            check_hash("user-data.users.passwd", &hash.value, report);
            if !field(user, "lock_passwd").is_some_and(|lock| lock.value.is(false)) {
                report
                    .warning(
                        &hash.key.range,
                        "the user has a password hash, but cloud-init locks it unless 'lock_passwd' is false",
                    )
                    .help("add 'lock_passwd: false' to log in with the password, or leave the hash out");
            }
        }
        if let Some(plain) = field(user, "plain_text_passwd") {
            report
                .warning(&plain.key.range, "a plain password stands in the file, and stays on the installed system")
                .help("write a hash as 'passwd', or use ssh keys");
        }
        check_keys(field(user, "ssh_authorized_keys").map(|keys| keys.value.as_ref()), report);
        for entry in user.map().unwrap_or_default() {
            let Some(name) = entry.name().filter(|name| !USER_KEYS.contains(&name.replace('-', "_").as_str())) else {
                continue;
            };
            report
                .warning(
                    &entry.key.range,
                    format!("'user-data.users' knows no key '{}': cloud-init ignores it", shown(name)),
                )
                .maybe_help(nearest_user_key(name).map(|near| format!("did you mean '{near}'?")));
        }
    }
}

fn nearest_user_key(name: &str) -> Option<&'static str> {
    // `nearest` reads '_' as '-' in what was written.
    let known: Vec<String> = USER_KEYS.iter().map(|key| key.replace('_', "-")).collect();
    let near = nearest(name, known.iter().map(String::as_str))?;
    USER_KEYS.iter().zip(&known).find(|(_, dashed)| dashed.as_str() == near).map(|(key, _)| *key)
}

fn check_keys(keys: Option<&Node>, report: &mut Report<'_>) {
    for key in keys.and_then(Node::list).unwrap_or_default() {
        if let Some(text) = key.text()
            && let Err(bad) = ssh_key::check(text)
        {
            report
                .error(&key.range, format!("{bad}: nobody can log in with it"))
                .help("paste the one line of a .pub file, as in 'ssh-ed25519 AAAA... ops@desk'");
        }
    }
}

/// `shut`: it is said already that nobody can log in.
fn check_ssh(sections: &Sections<'_>, shut: bool, report: &mut Report<'_>) {
    let Some(ssh) = sections.get("ssh") else { return };
    let keys = ssh.entry("authorized-keys");
    check_keys(keys.map(|keys| keys.value.as_ref()), report);
    let some = keys.filter(|keys| keys.value.list().is_some_and(|keys| !keys.is_empty()));
    let server = ssh.get("install-server").is_some_and(|server| server.is(true));
    if let Some(keys) = some.filter(|_| !server) {
        report
            .warning(
                &keys.key.range,
                "there are ssh keys, but 'install-server' is not true: there is no sshd to log in to",
            )
            .help("write 'install-server: true'");
    }
    let users = sections.get("user-data").is_some_and(|data| {
        let users = data.entry("users").map(|users| &users.value);
        // Of users in another form than a list nothing is known.
        users.is_some_and(|users| users.list().is_none_or(|list| list.iter().any(|user| has_key(user))))
            || ["ssh_authorized_keys", "ssh_import_id"].iter().any(|name| data.entry(name).is_some())
    });
    if server && !shut && some.is_none() && !users && ssh.get("allow-pw").is_some_and(|allow| allow.is(false)) {
        report
            .warning(&sections.at("ssh"), "sshd takes no password, and there is no key: nobody can log in by ssh")
            .help("add 'authorized-keys'");
    }
}
