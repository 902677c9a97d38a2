//! Who may do what: accounts, roles, sessions, and the headers that name them.
//!
//! Input: `X-Auth-Token` or `Authorization: Basic`; output: a [`Caller`]. Invariant: a token is good for one user until its session ends by
//! DELETE, by time, or with its account.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::state::Session;

pub(crate) const ROLES: [&str; 3] = ["Administrator", "Operator", "ReadOnly"];
pub(crate) const ACCOUNTS: &str = "/redfish/v1/AccountService/Accounts";
pub(crate) const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) role: String,
    pub(crate) enabled: bool,
    pub(crate) must_change: bool,
}

impl Account {
    pub(crate) fn view(&self) -> Value {
        json!({
            "@odata.type": "#ManagerAccount.v1_9_0.ManagerAccount",
            "@odata.id": format!("{ACCOUNTS}/{}", self.id),
            "Id": self.id,
            "Name": "User Account",
            "UserName": self.user,
            "Password": null,
            "RoleId": self.role,
            "Enabled": self.enabled,
            "Locked": false,
            "PasswordChangeRequired": self.must_change,
            "AccountTypes": ["Redfish"],
            "Links": {"Role": {"@odata.id": format!("/redfish/v1/AccountService/Roles/{}", self.role)}},
        })
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) account: String,
    pub(crate) role: String,
    pub(crate) session: Option<String>,
    pub(crate) must_change: bool,
}

impl Caller {
    pub(crate) fn is_administrator(&self) -> bool {
        self.role == "Administrator"
    }

    pub(crate) fn may_configure(&self) -> bool {
        self.role != "ReadOnly"
    }
}

struct Open {
    session: Session,
    token: String,
    used: Instant,
}

/// All accounts and sessions.
pub(crate) struct People {
    pub(crate) accounts: Vec<Account>,
    open: Vec<Open>,
    next: u32,
    timeout: Duration,
}

impl People {
    pub(crate) fn new(user: &str, password: &str, timeout: Duration) -> People {
        let first = Account {
            id: "1".into(),
            user: user.into(),
            password: password.into(),
            role: "Administrator".into(),
            enabled: true,
            must_change: false,
        };
        People { accounts: vec![first], open: Vec::new(), next: 1, timeout }
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.open.iter().map(|open| open.session.clone()).collect()
    }

    pub(crate) fn settle(&mut self, now: Instant) {
        let timeout = self.timeout;
        self.open.retain(|open| now.duration_since(open.used) < timeout);
    }

    pub(crate) fn next_id(&mut self) -> String {
        self.next += 1;
        self.next.to_string()
    }

    pub(crate) fn check(&self, user: &str, password: &str) -> Option<&Account> {
        self.accounts.iter().find(|one| one.enabled && one.user == user && one.password == password)
    }

    fn caller(account: &Account, session: Option<String>) -> Caller {
        Caller {
            user: account.user.clone(),
            account: account.id.clone(),
            role: account.role.clone(),
            session,
            must_change: account.must_change,
        }
    }

    pub(crate) fn by_token(&mut self, token: &str, now: Instant) -> Option<Caller> {
        let open = self.open.iter_mut().find(|open| open.token == token)?;
        open.used = now;
        let account = self.accounts.iter().find(|one| one.user == open.session.user && one.enabled)?;
        Some(Self::caller(account, Some(open.session.id.clone())))
    }

    pub(crate) fn by_basic(&self, header: &str) -> Option<Caller> {
        let (scheme, encoded) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        self.check(user, password).map(|account| Self::caller(account, None))
    }

    /// A new session: its id and its token.
    pub(crate) fn open(&mut self, user: &str, now: Instant) -> (String, String) {
        let id = format!("s{}", self.next_id());
        let token = random();
        let session = Session { id: id.clone(), user: user.into() };
        self.open.push(Open { session, token: token.clone(), used: now });
        (id, token)
    }

    /// Whether there was one.
    pub(crate) fn close(&mut self, id: &str) -> bool {
        let before = self.open.len();
        self.open.retain(|open| open.session.id != id);
        self.open.len() < before
    }

    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }

    pub(crate) fn close_of(&mut self, user: &str) {
        self.open.retain(|open| open.session.user != user);
    }
}

pub(crate) fn session_view(session: &Session) -> Value {
    json!({
        "@odata.type": "#Session.v1_5_0.Session",
        "@odata.id": format!("{SESSIONS}/{}", session.id),
        "Id": session.id,
        "Name": "User Session",
        "UserName": session.user,
        "Password": null,
    })
}

fn random() -> String {
    let mut hash = Sha256::new();
    for _ in 0..4 {
        hash.update(RandomState::new().build_hasher().finish().to_le_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}
