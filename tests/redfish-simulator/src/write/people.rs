//! Sessions and accounts: made, changed, removed.
//!
//! Input: their bodies and who asks; output: replies. Invariant: who is no administrator changes nothing but his own password and sessions.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{chosen, text};
use crate::account::{ACCOUNTS, Account, Caller, ROLES, SESSIONS};
use crate::faults::Fault;
use crate::messages::{Message, annotate};
use crate::place::Place;
use crate::reply::{Reply, Request};
use crate::service::{Service, object};

const SHORTEST: usize = 8;
const LONGEST: usize = 40;

impl Service {
    pub(crate) fn open_session(&mut self, body: &Map<String, Value>, now: Instant) -> Result<Reply, Reply> {
        let mut wrong: Vec<Message> = Vec::new();
        for key in ["UserName", "Password"] {
            match body.get(key) {
                None => wrong.push(Message::missing(key)),
                Some(value) => wrong.extend(text(key, value).err()),
            }
        }
        if !wrong.is_empty() {
            return Err(Reply::error(400, &wrong));
        }
        let of = |key: &str| body[key].as_str().unwrap_or_default();
        let Some(account) = self.people.check(of("UserName"), of("Password")).cloned() else {
            return Err(Reply::error(401, &[Message::unauthorized(SESSIONS)]));
        };
        if self.faults.is(&Fault::SessionLimit) || self.people.sessions().len() >= self.model.session_limit {
            return Err(Reply::error(503, &[Message::session_limit()]));
        }
        let (id, token) = self.people.open(&account.user, now);
        let uri = format!("{SESSIONS}/{id}");
        let mut view = self.view(&uri).unwrap_or_default();
        let forced = self.faults.is(&Fault::PasswordChangeRequired) && account.id == "1";
        if account.must_change || forced {
            let message = Message::password_change(&format!("{ACCOUNTS}/{}", account.id));
            view["@Message.ExtendedInfo"] = json!([message.extended()]);
        }
        Ok(self.representation(201, &view).with("Location", uri).with("X-Auth-Token", token))
    }

    pub(super) fn write_people(&mut self, place: &Place, request: &Request, caller: &Caller) -> Result<Reply, Reply> {
        match (place, request.method.as_str()) {
            (Place::Session(id), "DELETE") => self.close_session(id, caller),
            (Place::Accounts, "POST") => self.create_account(&object(request)?, caller),
            (Place::Account(id), "PATCH") => self.patch_account(id, &object(request)?, caller),
            (Place::Account(id), "DELETE") => self.delete_account(id, caller),
            (Place::AccountService, "PATCH") => Err(refuse_all(&object(request)?)),
            _ => Err(Reply::error(405, &[Message::not_allowed()])),
        }
    }

    fn close_session(&mut self, id: &str, caller: &Caller) -> Result<Reply, Reply> {
        let own = self.people.sessions().iter().any(|one| one.id == id && one.user == caller.user);
        if !own && !caller.is_administrator() {
            return Err(Reply::error(403, &[Message::privilege()]));
        }
        self.people.close(id);
        Ok(Reply::empty(204))
    }

    fn create_account(&mut self, body: &Map<String, Value>, caller: &Caller) -> Result<Reply, Reply> {
        if !caller.is_administrator() {
            return Err(Reply::error(403, &[Message::privilege()]));
        }
        let mut account = Account {
            id: String::new(),
            user: String::new(),
            password: String::new(),
            role: String::new(),
            enabled: true,
            must_change: false,
        };
        let mut wrong: Vec<Message> = ["UserName", "Password", "RoleId"]
            .into_iter()
            .filter(|key| !body.contains_key(*key))
            .map(Message::missing)
            .collect();
        for (key, value) in body {
            wrong.extend(set(&mut account, key, value).err());
        }
        if !wrong.is_empty() {
            return Err(Reply::error(400, &wrong));
        }
        if self.people.accounts.iter().any(|one| one.user == account.user) {
            return Err(Reply::error(400, &[Message::exists("ManagerAccount", "UserName", &account.user)]));
        }
        account.id = self.people.next_id();
        let uri = format!("{ACCOUNTS}/{}", account.id);
        self.people.accounts.push(account);
        let view = self.view(&uri).unwrap_or_default();
        Ok(self.representation(201, &view).with("Location", uri))
    }

    /// What can be changed is; what cannot is said beside it. Only if nothing could be changed it is an error.
    fn patch_account(&mut self, id: &str, body: &Map<String, Value>, caller: &Caller) -> Result<Reply, Reply> {
        let own = caller.account == id;
        let only_password = body.keys().all(|key| key == "Password" || key.starts_with('@'));
        if !(caller.is_administrator() || own && only_password) {
            return Err(Reply::error(403, &[Message::privilege()]));
        }
        let Some(index) = self.people.accounts.iter().position(|one| one.id == id) else {
            return Err(Reply::error(404, &[Message::not_found(&format!("{ACCOUNTS}/{id}"))]));
        };
        let before = self.people.accounts[index].clone();
        let mut account = before.clone();
        let (mut wrong, mut changed) = (Vec::new(), 0);
        for (key, value) in body.iter().filter(|(key, _)| !key.starts_with('@')) {
            match set(&mut account, key, value) {
                Ok(()) => changed += 1,
                Err(message) => wrong.push(message),
            }
        }
        if changed == 0 {
            let messages = if wrong.is_empty() { vec![Message::no_operation()] } else { wrong };
            return Err(Reply::error(400, &messages));
        }
        if account.password != before.password {
            account.must_change &= body.contains_key("PasswordChangeRequired");
            self.faults.forget(&Fault::PasswordChangeRequired);
        }
        self.people.accounts[index] = account;
        let mut view = self.view(&format!("{ACCOUNTS}/{id}")).unwrap_or_default();
        annotate(&mut view, &wrong);
        Ok(self.representation(200, &view))
    }

    fn delete_account(&mut self, id: &str, caller: &Caller) -> Result<Reply, Reply> {
        if !caller.is_administrator() {
            return Err(Reply::error(403, &[Message::privilege()]));
        }
        let Some(index) = self.people.accounts.iter().position(|one| one.id == id) else {
            return Err(Reply::error(404, &[Message::not_found(&format!("{ACCOUNTS}/{id}"))]));
        };
        let gone = self.people.accounts.remove(index);
        self.people.close_of(&gone.user);
        Ok(Reply::empty(204))
    }
}

fn set(account: &mut Account, key: &str, value: &Value) -> Result<(), Message> {
    let flag = || value.as_bool().ok_or_else(|| Message::value_type(&value.to_string(), key));
    match key {
        "UserName" => match text(key, value)? {
            "" => return Err(Message::format("", key)),
            user => account.user = user.into(),
        },
        "Password" => {
            let password = text(key, value)?;
            if !(SHORTEST..=LONGEST).contains(&password.chars().count()) {
                return Err(Message::format("(the password)", key));
            }
            account.password = password.into();
        }
        "RoleId" => account.role = chosen(key, value, &ROLES)?,
        "Enabled" => account.enabled = flag()?,
        "PasswordChangeRequired" => account.must_change = flag()?,
        "AccountTypes" => {}
        "Id" | "Name" | "Locked" | "Links" | "@odata.id" | "@odata.type" => return Err(Message::not_writable(key)),
        _ => return Err(Message::unknown(key)),
    }
    Ok(())
}

fn refuse_all(body: &Map<String, Value>) -> Reply {
    let wrong: Vec<Message> = body.keys().map(|key| Message::not_writable(key)).collect();
    Reply::error(400, &if wrong.is_empty() { vec![Message::no_operation()] } else { wrong })
}
