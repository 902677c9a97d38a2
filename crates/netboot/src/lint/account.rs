//! Who can log in to the installed system: identity, ssh, and the users of user-data.

use super::document::Sections;
use super::facts::{Facts, RESERVED_USERS};
use super::report::Report;
use super::shape::shown;
use super::ssh_key;
use super::yaml::{Node, Value};
use crate::Hostname;
use crate::crypt::{self, Refusal};

pub(super) fn check(sections: &Sections<'_>, facts: &Facts, report: &mut Report<'_>) {
    let user_data = sections.get("user-data");
    match sections.get("identity") {
        Some(identity) => check_identity(identity, facts, report),
        None if sections.asks("identity") => {}
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
    check_ssh(sections, report);
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
    if RESERVED_USERS.binary_search(&text).is_ok() {
        report
            .error(&name.range, format!("the user name '{text}' is reserved by the system: the installer refuses it"))
            .help("choose another one, for example 'ops'");
        return;
    }
    let letter = |b: u8| b.is_ascii_lowercase() || b == b'_';
    let form =
        text.bytes().next().is_some_and(letter) && text.bytes().all(|b| letter(b) || b.is_ascii_digit() || b == b'-');
    if !form {
        report
            .error(&name.range, format!("'{}' is not a user name: the installer refuses it", shown(text)))
            .help("use lowercase letters, digits, '_' and '-', starting with a letter or '_'");
    } else if text.len() > 32 {
        report
            .error(&name.range, "the user name is longer than 32 characters: the installer refuses it")
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
        let hash = user.entry("passwd").or_else(|| user.entry("hashed_passwd"));
        if let Some(hash) = hash {
            check_hash("user-data.users.passwd", &hash.value, report);
            if !user.get("lock_passwd").is_some_and(|lock| lock.is(false)) {
                report
                    .warning(
                        &hash.key.range,
                        "the user has a password hash, but cloud-init locks it unless 'lock_passwd' is false",
                    )
                    .help("add 'lock_passwd: false' to log in with the password, or leave the hash out");
            }
        }
        if let Some(plain) = user.entry("plain_text_passwd") {
            report
                .warning(&plain.key.range, "a plain password stands in the file, and stays on the installed system")
                .help("write a hash as 'passwd', or use ssh keys");
        }
        check_keys(user.get("ssh_authorized_keys").or_else(|| user.get("ssh-authorized-keys")), report);
    }
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

fn check_ssh(sections: &Sections<'_>, report: &mut Report<'_>) {
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
        ["users", "ssh_authorized_keys", "ssh_import_id"].iter().any(|name| data.entry(name).is_some())
    });
    if server && some.is_none() && !users && ssh.get("allow-pw").is_some_and(|allow| allow.is(false)) {
        report
            .warning(&sections.at("ssh"), "sshd takes no password, and there is no key: nobody can log in by ssh")
            .help("add 'authorized-keys'");
    }
}
