//! The import of an OVA: an import specification, a lease, the disk's bytes by NFC.
//!
//! In: a verified package, a name, keys that mark the machine. Out: the machine that was made, powered off. Invariants: the disk goes out byte for
//! byte and with its digest compared; the session's cookie goes to the server alone, whatever hosts a lease names; what fails leaves no
//! machine behind.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Body, RequestBuilder};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use url::Url;

use super::super::error::{DeployError, Kind};
use super::inventory::Places;
use super::ova::{Disk, Package};
use super::session::{Session, reference};
use super::soap::{Failure, Moref, localized, said};
use super::tls::{self, thumbprint};
use super::xml::Element;
use crate::vocab::{Event, Progress, Stage};

/// Between two renewals; a lease ends after five minutes without one.
const RENEWAL: Duration = Duration::from_secs(2);
/// Between two looks at the transfer.
const LOOK: Duration = Duration::from_millis(50);
/// Until a lease is ready: the server makes the machine meanwhile.
const READY: Duration = Duration::from_secs(300);
/// For one disk.
const TRANSFER: Duration = Duration::from_secs(24 * 3600);
/// What comes after `extraConfig` in a configuration: the order of VMware's WSDL.
const AFTER_EXTRA: [&str; 12] = [
    "swapPlacement",
    "bootOptions",
    "vAppConfig",
    "ftInfo",
    "repConfig",
    "vAppConfigRemoved",
    "vAssertsEnabled",
    "changeTrackingEnabled",
    "firmware",
    "maxMksConnections",
    "guestAutoLockEnabled",
    "managedBy",
];
/// What a carrier can do without: it is never started, only its disk is taken. (vcsim knows no SATA, and says so with this.)
const NOT_NEEDED: [&str; 3] = ["OvfUnsupportedType", "OvfUnsupportedDevice", "OvfUnsupportedSubType"];

/// Makes a machine from a package.
pub(super) fn import(
    session: &Session,
    places: &Places,
    package: &Package,
    name: &str,
    marks: &[(&str, String)],
    progress: &dyn Progress,
) -> Result<Moref, Failure> {
    let result = session.call(&specification_call(session, places, package, name))?;
    let result = result.child("returnval").ok_or_else(|| Failure::nonsense("no import specification"))?;
    let errors: Vec<_> = result.all("error").map(|error| localized(error, "the OVA's descriptor")).collect();
    let refused = errors.into_iter().find(|error| !NOT_NEEDED.contains(&error.name.as_str()));
    if let Some(refused) = refused {
        let error = DeployError::from(refused);
        return Err(DeployError { kind: Kind::Refused, ..error }.into());
    }
    for warning in result.all("warning") {
        let warning = localized(warning, "the descriptor");
        progress.note(Stage::Deploy, format!("vSphere warns of the OVA: {} {}", warning.name, warning.message));
    }
    let item = result.all("fileItem").find(|item| item.text_of("path") == Some(package.disk.as_str()));
    let Some(device) = item.and_then(|item| item.text_of("deviceId")) else {
        return Err(Failure::nonsense("the disk is not among the files that it wants"));
    };
    let mut specification =
        result.child("importSpec").cloned().ok_or_else(|| Failure::nonsense("no import specification"))?;
    mark(&mut specification, marks)?;
    specification.name = "spec".to_owned();
    let mut call = places.pool.call("ImportVApp").with(specification).with(places.folder.element("folder"));
    if let Some(host) = &places.host {
        call = call.with(host.element("host"));
    }
    let lease = Lease { session, of: reference(&session.call(&call)?)?, done: false };
    lease.run(package, device, progress)
}

fn specification_call(session: &Session, places: &Places, package: &Package, name: &str) -> Element {
    let mapping =
        |network: &str, of: &Moref| Element::new("networkMapping").leaf("name", network).with(of.element("network"));
    let mut parameters = Element::new("cisp").leaf("locale", "").leaf("deploymentOption", "").leaf("entityName", name);
    if let Some(host) = &places.host {
        parameters = parameters.with(host.element("hostSystem"));
    }
    let parameters = parameters
        .with(mapping("uplink", &places.uplink.of))
        .with(mapping("provisioning", &places.provisioning.of))
        .leaf("diskProvisioning", "thin");
    let call = session.services.ovf.call("CreateImportSpec").leaf("ovfDescriptor", &package.descriptor);
    call.with(places.pool.element("resourcePool")).with(places.datastore.element("datastore")).with(parameters)
}

/// Puts keys into the machine's configuration, at the place that the schema has for them.
fn mark(specification: &mut Element, marks: &[(&str, String)]) -> Result<(), Failure> {
    let configuration = specification.children.iter_mut().find(|child| child.name == "configSpec");
    let configuration =
        configuration.ok_or_else(|| Failure::nonsense("it would import something else than one machine"))?;
    let children = &mut configuration.children;
    let at = children.iter().position(|child| AFTER_EXTRA.contains(&child.name.as_str())).unwrap_or(children.len());
    let marks = marks.iter().map(|(key, value)| extra(key, value));
    children.splice(at..at, marks);
    Ok(())
}

/// One key of a machine's own.
pub(super) fn extra(key: &str, value: &str) -> Element {
    let text = Element { text: value.to_owned(), ..Element::typed("value", "xsd:string") };
    Element::typed("extraConfig", "OptionValue").leaf("key", key).with(text)
}

struct Lease<'a> {
    session: &'a Session,
    of: Moref,
    done: bool,
}

impl Lease<'_> {
    fn run(mut self, package: &Package, device: &str, progress: &dyn Progress) -> Result<Moref, Failure> {
        let info = self.ready()?;
        let machine =
            info.child("entity").and_then(Moref::of).ok_or_else(|| Failure::nonsense("a lease without machine"))?;
        let result = self
            .send(&info, package, device, progress)
            .and_then(|()| self.session.call(&self.of.call("HttpNfcLeaseComplete")));
        match result {
            Ok(_) => {
                self.done = true;
                Ok(machine)
            }
            Err(failure) => {
                self.abort();
                // vCenter removes the machine itself, vcsim leaves it.
                if self.session.properties(&machine, &["name"]).is_ok() {
                    let _ = self.session.task(&machine.call("Destroy_Task"));
                }
                Err(failure)
            }
        }
    }

    /// Waits until the bytes may come.
    fn ready(&self) -> Result<Element, Failure> {
        let begun = Instant::now();
        loop {
            let mut seen = self.session.properties(&self.of, &["state", "info", "error"])?;
            match seen.get("state").map(|state| state.text.trim()) {
                Some("ready") => return seen.remove("info").ok_or_else(|| Failure::nonsense("a lease without info")),
                Some("error") => {
                    let error = seen.remove("error").unwrap_or_default();
                    return Err(Failure::Fault(localized(&error, "the import")));
                }
                Some("initializing") if begun.elapsed() < READY => thread::sleep(Duration::from_millis(200)),
                Some("initializing") => {
                    return Err(DeployError::new(Kind::Hypervisor, "vSphere does not get ready for the import").into());
                }
                _ => return Err(Failure::nonsense("a lease in no state")),
            }
        }
    }

    fn send(&self, info: &Element, package: &Package, device: &str, progress: &dyn Progress) -> Result<(), Failure> {
        let target = info.all("deviceUrl").find(|url| url.text_of("importKey") == Some(device));
        let target = target.ok_or_else(|| Failure::nonsense("a lease without a place for the disk"))?;
        let print = target.text_of("sslThumbprint").and_then(thumbprint);
        let url = target.text_of("url").ok_or_else(|| Failure::nonsense("a lease without a URL"))?;
        let (url, host) = disk_url(url, self.session.url()).map_err(Failure::nonsense)?;
        let request = match url.origin() == self.session.url().origin() {
            true => self.session.request(reqwest::Method::POST, url)?,
            // The URL itself is the right to write. A request without a body comes first: where one with a body fails, the library says only
            // that nobody takes it, and not that the certificate is another one.
            false => {
                let other = self.session.trust.client_of(print)?;
                let root = url.join("/").map_err(|_| Failure::nonsense("a host without a root"))?;
                other.get(root).send().map_err(|error| tls::failure(&error, &host))?;
                other.post(url)
            }
        };
        progress.event(Event::TransferStarted { stage: Stage::Deploy, files: 1, bytes: package.length });
        let sent = self.transfer(request, package.stream()?, package.length, &host, progress);
        if sent.is_ok() {
            progress.event(Event::TransferFile { name: package.disk.clone(), bytes: package.length });
        }
        progress.event(Event::TransferFinished);
        sent
    }

    /// Sends the disk from a thread of its own; meanwhile the lease is renewed.
    fn transfer(
        &self,
        request: RequestBuilder,
        disk: Disk,
        length: u64,
        host: &str,
        progress: &dyn Progress,
    ) -> Result<(), Failure> {
        let watched = Watched { disk, sent: Arc::default(), broken: Arc::default() };
        let (sent, broken) = (Arc::clone(&watched.sent), Arc::clone(&watched.broken));
        let request = request
            .timeout(TRANSFER)
            .header(CONTENT_TYPE, "application/x-vnd.vmware-streamVmdk")
            .header(CONTENT_LENGTH, length)
            .body(Body::sized(watched, length));
        let answer = thread::scope(|scope| {
            let upload = scope.spawn(|| request.send());
            let (mut told, mut renewed) = (0, Instant::now());
            while !upload.is_finished() {
                thread::sleep(LOOK);
                let now = sent.load(Ordering::Relaxed);
                if now > told {
                    progress.event(Event::TransferAdvanced { bytes: now - told });
                    told = now;
                }
                if renewed.elapsed() >= RENEWAL {
                    let percent = (now * 100).checked_div(length).unwrap_or(100).min(99);
                    // A lease that is lost shows in the transfer.
                    let _ = self.session.call(&self.of.call("HttpNfcLeaseProgress").leaf("percent", percent));
                    renewed = Instant::now();
                }
            }
            let last = sent.load(Ordering::Relaxed).saturating_sub(told);
            progress.event(Event::TransferAdvanced { bytes: last });
            upload.join()
        });
        if let Some(why) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(DeployError::new(Kind::Io, format!("the disk cannot be sent: {why}"))
                .help("build the profile again")
                .into());
        }
        let Ok(answer) = answer else {
            return Err(DeployError::new(Kind::Io, "the thread that sends the disk has failed").into());
        };
        let status = answer.map_err(|error| tls::failure(&error, host))?.status().as_u16();
        match status {
            200 | 201 | 204 => Ok(()),
            _ => Err(DeployError::new(Kind::Hypervisor, format!("{host} does not take the disk: status {status}"))
                .help("deploy again; the host's own log (hostd) says why")
                .into()),
        }
    }

    fn abort(&mut self) {
        if !self.done {
            self.done = true;
            let _ = self.session.call(&self.of.call("HttpNfcLeaseAbort"));
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.abort();
    }
}

/// A disk that is read, seen from outside.
struct Watched {
    disk: Disk,
    sent: Arc<AtomicU64>,
    broken: Arc<Mutex<Option<String>>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.disk.read(buffer) {
            Ok(count) => {
                self.sent.fetch_add(count as u64, Ordering::Relaxed);
                Ok(count)
            }
            Err(error) => {
                *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                Err(error)
            }
        }
    }
}

/// Where a disk is sent to, and that host's name. `*` is the host and port that the session is with (vcsim writes no port, and neither
/// does a host behind a forwarded one).
fn disk_url(text: &str, base: &Url) -> Result<(Url, String), String> {
    let wrong = || format!("a disk would go to '{}'", said(text));
    let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
    let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
    let port = base.port_or_known_default().unwrap_or(443);
    let text = match authority == "*" || authority.starts_with("*:") {
        true => format!("https://{}:{port}/{path}", base.host_str().ok_or_else(wrong)?),
        false => text.to_owned(),
    };
    let url = Url::parse(&text).map_err(|_| wrong())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong());
    }
    let host = format!("{}:{}", url.host_str().ok_or_else(wrong)?, url.port_or_known_default().unwrap_or(443));
    Ok((url, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_disk_goes() {
        let base = Url::parse("https://vc.example:8443/sdk").unwrap();
        let to = |text: &str| disk_url(text, &base).map(|(url, host)| format!("{url} {host}"));
        assert_eq!(
            to("https://*/nfc/a%5Bb%5D/disk-0.vmdk").unwrap(),
            "https://vc.example:8443/nfc/a%5Bb%5D/disk-0.vmdk vc.example:8443"
        );
        assert_eq!(to("https://esx7.example/nfc/1/d").unwrap(), "https://esx7.example/nfc/1/d esx7.example:443");
        for wrong in ["http://*/nfc/1/d", "https://u:p@esx/nfc", "https://", "/nfc", "https://*"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn marks_stand_where_the_schema_has_them() {
        let configuration =
            Element::new("configSpec").leaf("name", "a").leaf("bootOptions", "").leaf("firmware", "efi");
        let mut specification = Element::typed("importSpec", "VirtualMachineImportSpec").with(configuration);
        mark(&mut specification, &[("k", "v".to_owned())]).unwrap();
        let names: Vec<_> = specification.children[0].children.iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["name", "extraConfig", "bootOptions", "firmware"]);
        assert!(mark(&mut Element::new("importSpec"), &[]).is_err());
    }
}
