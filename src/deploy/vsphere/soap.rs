//! Calls and answers of the vSphere API (SOAP 1.1, namespace `urn:vim25`).
//!
//! In: a method, the object that has it, its parameters in the order of VMware's WSDL. Out: what is inside the answer, or a [`Failure`].
//! Invariant: what a server says is shortened and stripped of control characters before it is part of a message.

use super::super::error::{DeployError, Kind};
use super::xml::{self, Element, escape};

/// A managed object: its type, and a name that means something to the server alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moref {
    pub(super) kind: String,
    pub(super) value: String,
}

impl Moref {
    pub(super) fn new(kind: &str, value: &str) -> Self {
        Moref { kind: kind.to_owned(), value: value.to_owned() }
    }

    pub(super) fn of(element: &Element) -> Option<Self> {
        let value = element.text.trim();
        (!value.is_empty()).then(|| Moref::new(element.object.as_deref().unwrap_or_default(), value))
    }

    /// As a parameter.
    pub(super) fn element(&self, name: &str) -> Element {
        Element { object: Some(self.kind.clone()), text: self.value.clone(), ..Element::new(name) }
    }

    /// A call of one of its methods, without parameters yet.
    pub(super) fn call(&self, method: &str) -> Element {
        Element::new(method).with(self.element("_this"))
    }
}

/// What the server did not do.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) method: String,
    /// Type of the fault in the API: "NoPermission".
    pub(super) name: String,
    pub(super) message: String,
}

#[derive(Debug)]
pub(super) enum Failure {
    Fault(Fault),
    Other(DeployError),
}

impl Failure {
    pub(super) fn is(&self, names: &[&str]) -> bool {
        matches!(self, Failure::Fault(fault) if names.contains(&fault.name.as_str()))
    }

    pub(super) fn nonsense(what: impl Into<String>) -> Self {
        Failure::Other(DeployError::new(Kind::Hypervisor, format!("vSphere's answer makes no sense: {}", what.into())))
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        Failure::Other(error)
    }
}

impl From<Failure> for DeployError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Other(error) => error,
            Failure::Fault(fault) => fault.into(),
        }
    }
}

impl From<Fault> for DeployError {
    fn from(fault: Fault) -> Self {
        let Fault { method, name, message } = fault;
        let said = if message.is_empty() { String::new() } else { format!(" ({message})") };
        let text = format!("vSphere refuses {method}: {name}{said}");
        match name.as_str() {
            "InvalidLogin" | "NoClientCertificate" => {
                DeployError::new(Kind::Trust, format!("vSphere refuses the user or the password{said}"))
                    .help("see deploy.vsphere.credentials: USER:PASSWORD; the user often has a domain, as in administrator@vsphere.local")
            }
            "NotAuthenticated" => DeployError::new(Kind::Trust, "vSphere has ended the session").help("deploy again"),
            "NoPermission" => DeployError::new(Kind::Refused, text)
                .help("give the user the privileges that docs/deploy.md lists"),
            "RestrictedVersion" => DeployError::new(Kind::Refused, text)
                .help("the host's licence has no writable API (a free ESXi): deploy by vCenter, or license the host"),
            "NoDiskSpace" | "InsufficientStorageSpace" => {
                DeployError::new(Kind::Refused, text).help("make room in the datastore, then deploy again")
            }
            "DuplicateName" | "FileAlreadyExists" | "NotSupported" | "InvalidArgument" | "InvalidVmConfig"
            | "InvalidDeviceSpec" | "InvalidDatastorePath" | "LicenseExpired" | "NotEnoughLicenses"
            | "InvalidState" | "InvalidPowerState" | "ResourceInUse" | "FileLocked" | "ConcurrentAccess" => {
                DeployError::new(Kind::Refused, text)
            }
            _ => DeployError::new(Kind::Hypervisor, text),
        }
    }
}

/// A text of the server for a message of ours.
pub(super) fn said(text: &str) -> String {
    const LONGEST: usize = 300;
    let words: Vec<&str> = text
        .split(|letter: char| letter.is_control() || letter.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>";
const TAIL: &str = "</soapenv:Body></soapenv:Envelope>";

/// The whole request. The call's own namespace is written by hand, since elements know none.
pub(super) fn envelope(call: &Element) -> String {
    let mut body = String::new();
    call.write(&mut body);
    let method = &call.name;
    format!("{HEAD}<{method} xmlns=\"urn:vim25\"{}{TAIL}", &body[method.len() + 1..])
}

/// The request that logs in, in a buffer that is large enough from its beginning: nothing of it is left elsewhere in memory.
pub(super) fn login(manager: &Moref, user: &str, password: &str) -> secrecy::zeroize::Zeroizing<String> {
    let mut text = secrecy::zeroize::Zeroizing::new(String::with_capacity(
        1024 + 6 * (user.len() + password.len() + manager.value.len()),
    ));
    text.push_str(HEAD);
    text.push_str("<Login xmlns=\"urn:vim25\">");
    manager.element("_this").write(&mut text);
    text.push_str("<userName>");
    escape(user, &mut text);
    text.push_str("</userName><password>");
    escape(password, &mut text);
    text.push_str("</password></Login>");
    text.push_str(TAIL);
    text
}

/// What is inside `METHODResponse`.
pub(super) fn answer(text: &str, method: &str) -> Result<Element, Failure> {
    let mut root = xml::parse(text).map_err(Failure::nonsense)?;
    let body = root.children.iter_mut().find(|child| child.name == "Body").map(std::mem::take);
    let Some(mut first) = body.and_then(|body| body.children.into_iter().next()) else {
        return Err(Failure::nonsense("there is no SOAP body"));
    };
    if first.name == "Fault" {
        return Err(Failure::Fault(fault(&first, method)));
    }
    if first.name.strip_suffix("Response") != Some(method) {
        return Err(Failure::nonsense(format!("{} instead of {method}Response", said(&first.name))));
    }
    first.text.clear();
    Ok(first)
}

fn fault(fault: &Element, method: &str) -> Fault {
    let detail = fault.child("detail").and_then(|detail| detail.children.first());
    let name = detail.map_or("", |detail| detail.kind.as_deref().unwrap_or(detail.name.trim_end_matches("Fault")));
    let name = if name.is_empty() { "a fault without a name" } else { name };
    Fault {
        method: method.trim_end_matches("_Task").to_owned(),
        name: said(name),
        message: said(fault.text_of("faultstring").unwrap_or_default()),
    }
}

/// A `LocalizedMethodFault`: what a task, a lease or an OVF manager complains about.
pub(super) fn localized(element: &Element, method: &str) -> Fault {
    let inner = element.child("fault");
    let name = inner.and_then(|inner| inner.kind.as_deref()).unwrap_or("a fault without a name");
    let message = element.text_of("localizedMessage").unwrap_or_default();
    let file = inner.and_then(|inner| inner.text_of("file")).unwrap_or_default();
    // vcsim's message is the type's name once more.
    let message = if message.starts_with("*types.") { file.to_owned() } else { message.to_owned() };
    Fault { method: method.trim_end_matches("_Task").to_owned(), name: said(name), message: said(&message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_on_the_wire() {
        let call = Moref::new("VirtualMachine", "vm-1&2").call("Rename_Task").leaf("newName", "a<b");
        insta::assert_snapshot!(envelope(&call).strip_prefix(HEAD).unwrap(), @r#"<Rename_Task xmlns="urn:vim25"><_this type="VirtualMachine">vm-1&amp;2</_this><newName>a&lt;b</newName></Rename_Task></soapenv:Body></soapenv:Envelope>"#);
    }

    fn faulty(name: &str, message: &str) -> String {
        format!(
            "{HEAD}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{message}</faultstring><detail><{name}Fault xmlns=\"urn:vim25\" xsi:type=\"{name}\"/></detail></soapenv:Fault>{TAIL}"
        )
    }

    #[test]
    fn faults_are_told_apart() {
        let kind = |name: &str| DeployError::from(answer(&faulty(name, "x"), "Login").unwrap_err()).kind;
        assert_eq!(kind("InvalidLogin"), Kind::Trust);
        assert_eq!(kind("NoPermission"), Kind::Refused);
        assert_eq!(kind("RestrictedVersion"), Kind::Refused);
        assert_eq!(kind("HostConfigFault"), Kind::Hypervisor);
        let error = DeployError::from(answer(&faulty("InvalidLogin", "Login failure"), "Login").unwrap_err());
        insta::assert_snapshot!(format!("{error}; {}", error.help.as_deref().unwrap()), @"vSphere refuses the user or the password (Login failure); see deploy.vsphere.credentials: USER:PASSWORD; the user often has a domain, as in administrator@vsphere.local");
    }

    #[test]
    fn what_a_server_says_stays_on_its_line() {
        let text = faulty("SystemError", &format!("one&#10;two&#155;31m {}", "long ".repeat(200)));
        let error = DeployError::from(answer(&text, "X").unwrap_err());
        assert!(error.message.starts_with("vSphere refuses X: SystemError (one two "), "{}", error.message);
        assert!(error.message.len() < 400 && !error.message.contains('\u{9b}'));
        assert!(answer(&format!("{HEAD}<YResponse/>{TAIL}"), "X").is_err());
        assert!(answer("<a/>", "X").is_err() && answer("no XML", "X").is_err());
    }
}
