//! Starting, stopping, and the guest's address.
//!
//! In: the machine. Out: its power as it is asked for. Invariant: a question that vSphere asks about a machine is answered only where it is about
//! the CD of ours; every other one is an error with the question's text, since a task would wait for it without end.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::super::error::{DeployError, Kind};
use super::VsphereSite;
use super::soap::{Failure, Moref, said};
use super::xml::Element;

const LOOK: Duration = Duration::from_millis(500);
/// A guest whose tools do not answer may still be booting.
const DEAF: Duration = Duration::from_secs(30);
/// Between two questions to such a guest.
const AGAIN: Duration = Duration::from_secs(2);
/// Part of the id of the question whether a CD may go that the guest holds.
const CD_QUESTION: &str = "cdromdisconnect";

impl VsphereSite {
    pub(super) fn power_of(&self, machine: &Moref) -> Result<String, Failure> {
        let power = self.session.properties(machine, &["runtime.powerState"])?.remove("runtime.powerState");
        power
            .map(|power| power.text.trim().to_owned())
            .ok_or_else(|| Failure::nonsense("a machine without power state"))
    }

    /// Starts a machine; one that is suspended goes on where it was.
    pub(super) fn power_on(&self, machine: &Moref) -> Result<(), Failure> {
        if self.power_of(machine)? == "poweredOn" {
            return Ok(());
        }
        let started = self.session.task_with(&machine.call("PowerOnVM_Task"), &mut || self.question(machine));
        match started {
            Err(failure) if failure.is(&["InvalidPowerState"]) && self.power_of(machine)? == "poweredOn" => Ok(()),
            started => started.map(drop),
        }
    }

    pub(super) fn shut_down(&self, machine: &Moref, patience: Duration) -> Result<(), Failure> {
        match self.power_of(machine)?.as_str() {
            "poweredOff" => Ok(()),
            "poweredOn" if self.guest_shuts_down(machine, patience)? => Ok(()),
            // Suspended, or a guest that does not go.
            _ => self.power_off(machine),
        }
    }

    /// Asks the guest, and waits; `false` where it still runs.
    fn guest_shuts_down(&self, machine: &Moref, patience: Duration) -> Result<bool, Failure> {
        let begun = Instant::now();
        let mut asked = None;
        let mut accepted = false;
        loop {
            if !accepted && asked.is_none_or(|asked: Instant| asked.elapsed() >= AGAIN) {
                asked = Some(Instant::now());
                match self.session.call(&machine.call("ShutdownGuest")) {
                    Ok(_) => accepted = true,
                    // No tools in the guest, or none yet; or it went off by itself.
                    Err(failure) if failure.is(&["ToolsUnavailable", "InvalidState", "InvalidPowerState"]) => {}
                    Err(failure) => return Err(failure),
                }
            }
            if self.power_of(machine)? != "poweredOn" {
                return Ok(self.power_of(machine)? == "poweredOff");
            }
            if begun.elapsed() >= patience || !accepted && begun.elapsed() >= DEAF {
                return Ok(false);
            }
            thread::sleep(LOOK.min(patience));
        }
    }

    /// At once; what a suspended machine had in its memory is gone.
    pub(super) fn power_off(&self, machine: &Moref) -> Result<(), Failure> {
        match self.session.task_with(&machine.call("PowerOffVM_Task"), &mut || self.question(machine)) {
            Err(failure) if failure.is(&["InvalidPowerState"]) && self.power_of(machine)? == "poweredOff" => Ok(()),
            stopped => stopped.map(drop),
        }
    }

    /// What vSphere wants to know about a machine before it goes on.
    pub(super) fn question(&self, machine: &Moref) -> Result<(), Failure> {
        let Some(question) = self.session.properties(machine, &["runtime.question"])?.remove("runtime.question") else {
            return Ok(());
        };
        let id = question.text_of("id").unwrap_or_default();
        let text = question.text_of("text").unwrap_or_default();
        let mut names = question.all("message").filter_map(|message| message.text_of("id"));
        if text.contains(CD_QUESTION) || names.any(|name| name.contains(CD_QUESTION)) {
            // The first choice is "yes".
            let choice = question.at(&["choice", "choiceInfo"]).and_then(|choice| choice.text_of("key")).unwrap_or("0");
            let call = machine.call("AnswerVM").leaf("questionId", id).leaf("answerChoice", choice);
            return self.session.call(&call).map(drop);
        }
        Err(DeployError::new(Kind::Refused, format!("vSphere asks about the machine: {}", said(text)))
            .help("answer it in vSphere's client, then deploy again")
            .into())
    }

    /// The guest's address on the adapter with a MAC, as its tools tell it.
    pub(super) fn guest_address(
        &self,
        machine: &Moref,
        uplink: &str,
        provisioning: &str,
    ) -> Result<Option<IpAddr>, Failure> {
        let seen = self.session.properties(machine, &["runtime.powerState", "guest.ipAddress", "guest.net"])?;
        if seen.get("runtime.powerState").is_some_and(|power| power.text.trim() != "poweredOn") {
            let error = DeployError::new(Kind::Unhealthy, format!("the machine '{}' has stopped", self.name));
            return Err(error.help("its console in vSphere's client may say why").into());
        }
        let adapters = seen.get("guest.net").map(|net| net.children.as_slice()).unwrap_or_default();
        Ok(choose(adapters, seen.get("guest.ipAddress").map(|address| address.text.trim()), uplink, provisioning))
    }
}

/// IPv4 before IPv6; none that holds on one link only. What the tools call the guest's address is taken where no adapter has the MAC, unless it
/// is the provisioning side's.
fn choose(adapters: &[Element], primary: Option<&str>, uplink: &str, provisioning: &str) -> Option<IpAddr> {
    let of = |mac: &str| -> Vec<IpAddr> {
        let mine = adapters
            .iter()
            .filter(|adapter| adapter.text_of("macAddress").is_some_and(|seen| seen.eq_ignore_ascii_case(mac)));
        mine.flat_map(|adapter| adapter.all("ipAddress"))
            .filter_map(|address| address.text.trim().parse().ok())
            .filter(usable)
            .collect()
    };
    let mut mine = of(uplink);
    if mine.is_empty() {
        let others = of(provisioning);
        mine.extend(
            primary.and_then(|address| address.parse().ok()).filter(usable).filter(|address| !others.contains(address)),
        );
    }
    mine.iter().find(|address| address.is_ipv4()).or(mine.first()).copied()
}

/// The tools tell no loopback addresses: one that is told is meant (a simulator's).
fn usable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unicast_link_local() && !address.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(mac: &str, addresses: &[&str]) -> Element {
        addresses.iter().fold(Element::new("GuestNicInfo").leaf("macAddress", mac), |adapter, address| {
            adapter.leaf("ipAddress", address)
        })
    }

    #[test]
    fn the_address_of_the_uplink() {
        let choose = |adapters: &[Element], primary| {
            choose(adapters, primary, "00:50:56:00:00:01", "00:50:56:00:00:02").map(|ip| ip.to_string())
        };
        let nodes = adapter("00:50:56:00:00:02", &["10.9.0.1"]);
        let lan = adapter("00:50:56:00:00:01", &["fe80::1", "2001:db8::5", "192.0.2.7"]);
        assert_eq!(choose(&[nodes.clone(), lan], Some("10.9.0.1")).as_deref(), Some("192.0.2.7"));
        assert_eq!(choose(std::slice::from_ref(&nodes), Some("10.9.0.1")), None);
        assert_eq!(choose(std::slice::from_ref(&nodes), Some("192.0.2.8")).as_deref(), Some("192.0.2.8"));
        assert_eq!(choose(&[adapter("00:50:56:00:00:01", &["169.254.3.4", "fe80::2"])], None), None);
        assert_eq!(choose(&[adapter("00:50:56:00:00:01", &["2001:db8::5"])], None).as_deref(), Some("2001:db8::5"));
        assert_eq!(choose(&[], Some("hostile")), None);
    }
}
