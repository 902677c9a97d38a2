//! `[deploy]` -> [`Deploy`]: where the appliance runs, each target with its own settings.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time;

use netboot::SecretRef;
use url::Url;

use super::OutputFormat;
use super::control::Duration;
use super::decode::Resolve;
use super::fault::Fault;
use super::reader::{At, Decoding, Section};
use super::source::Span;
use super::word::*;
use crate::vocab::ByteSize;

/// How deployments are made, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploy {
    /// Generations that are kept beside the current one.
    pub keep: u32,
    /// From the start until the appliance must have said that it runs the build.
    pub health_timeout: time::Duration,
    /// For the guest to shut down by itself, before it is switched off.
    pub stop_timeout: time::Duration,
    pub state_disk: ByteSize,
    /// Key that webhooks are signed with; delivered with the seed medium.
    pub webhook_key: Option<SecretRef>,
    pub workstation: Option<Workstation>,
    pub vsphere: Option<Vsphere>,
}

/// VMware Workstation, on this host or on the Windows around this WSL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workstation {
    /// The machine gets a directory of its own in it; `None`: where Workstation has its machines.
    pub directory: Option<PathBuf>,
    pub controller: Controller,
    pub uplink: Link,
    pub provisioning: Link,
    /// The program vmrun, where it is not found by itself.
    pub vmrun: Option<PathBuf>,
    /// Control by vmrest instead of vmrun.
    pub rest: Option<Rest>,
    /// Show the machine's window.
    pub gui: bool,
}

/// VMware Workstation's REST service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub url: Url,
    /// "user:password"
    pub credentials: SecretRef,
}

/// What the disks hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    Pvscsi,
    Nvme,
}

/// Where a network adapter of Workstation is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    Nat,
    Bridged,
    HostOnly,
    /// A virtual network by name ("vmnet2").
    Named(String),
}

/// vCenter, or a single ESXi host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vsphere {
    /// Of the SOAP service; its path is /sdk where none is written.
    pub url: Url,
    /// "user:password"
    pub credentials: SecretRef,
    /// SHA-256 of the server's certificate, "SHA256:" and hexadecimal digits; without it an authority must have signed it.
    pub certificate: Option<String>,
    /// Authorities of the site's own (PEM).
    pub authorities: Option<PathBuf>,
    pub datacenter: Option<String>,
    /// Cluster or host.
    pub compute: Option<String>,
    pub resource_pool: Option<String>,
    pub folder: Option<String>,
    pub datastore: String,
    /// Names of the port groups.
    pub uplink: String,
    pub provisioning: String,
}

impl Default for Deploy {
    fn default() -> Self {
        Deploy {
            keep: 2,
            health_timeout: time::Duration::from_secs(600),
            stop_timeout: time::Duration::from_secs(720),
            state_disk: ByteSize::gib(20),
            webhook_key: None,
            workstation: None,
            vsphere: None,
        }
    }
}

const SMALLEST_STATE: ByteSize = ByteSize::gib(1);
/// A growable VMDK, as Workstation has it, counts its sectors in 32 bits.
const LARGEST_STATE: ByteSize = ByteSize::gib(2040);

pub(super) fn deploy(
    cx: &mut Decoding,
    root: &Section<'_>,
    outputs: &BTreeSet<OutputFormat>,
    resolve: Resolve<'_>,
) -> Option<Deploy> {
    let section = root.section("deploy");
    let keep = section.integer::<u32>(cx, "keep");
    let health_timeout = section.word::<Duration>(cx, "health-timeout");
    let stop_timeout = section.word::<Duration>(cx, "stop-timeout");
    let state_disk = section.word::<ByteSize>(cx, "state-disk");
    let webhook_key = section.word::<SecretRef>(cx, "webhook-key").map(|at| secret(at, resolve));
    let workstation = section.written("workstation").map(|section| workstation(cx, &section, outputs, resolve));
    let vsphere = section.written("vsphere").map(|section| vsphere(cx, &section, outputs, resolve));
    if let Some(size) = &state_disk
        && (!size.bytes().is_multiple_of(ByteSize::mib(1).bytes())
            || size.value < SMALLEST_STATE
            || size.value > LARGEST_STATE)
    {
        let fault = Fault::at(size.span, format!("a state disk of {} is not possible", size.value));
        cx.fault(fault.help(format!("multiples of 1 MiB from {SMALLEST_STATE} to {LARGEST_STATE} are accepted")));
    }
    Some(Deploy {
        keep: keep?.value,
        health_timeout: time::Duration::from_secs(health_timeout?.value.0),
        stop_timeout: time::Duration::from_secs(stop_timeout?.value.0),
        state_disk: state_disk?.value,
        webhook_key,
        workstation: match workstation {
            Some(found) => Some(found?),
            None => None,
        },
        vsphere: match vsphere {
            Some(found) => Some(found?),
            None => None,
        },
    })
}

fn workstation(
    cx: &mut Decoding,
    section: &Section<'_>,
    outputs: &BTreeSet<OutputFormat>,
    resolve: Resolve<'_>,
) -> Option<Workstation> {
    let directory = section.word::<FilePath>(cx, "directory").map(|at| resolve(at.span.file, &at.value.0));
    let controller = section.word::<Controller>(cx, "controller");
    let networks = section.section("networks");
    let uplink = networks.word::<Link>(cx, "uplink");
    let provisioning = networks.word::<Link>(cx, "provisioning");
    let vmrun = section.word::<FilePath>(cx, "vmrun").map(|at| resolve(at.span.file, &at.value.0));
    let gui = section.flag(cx, "gui");
    let rest = section.written("rest").map(|section| {
        let url = service(cx, &section, &["http", "https"]);
        let credentials = section.word::<SecretRef>(cx, "credentials").map(|at| secret(at, resolve));
        if let Some(url) = &url
            && url.scheme() == "http"
            && !is_this_host(url)
        {
            let place = section.key("url").unwrap_or(section.span);
            let fault = Fault::at(place, "the password would go over the network in clear");
            cx.fault(fault.help("write https://, or the address of this host: http://127.0.0.1:8697"));
        }
        Some(Rest { url: url?, credentials: credentials? })
    });
    needs(cx, section, outputs, OutputFormat::Vmx, "vmx");
    if let (Some(uplink), Some(provisioning)) = (&uplink, &provisioning) {
        if uplink.value == provisioning.value {
            same_network(cx, provisioning.span);
        } else if provisioning.value == Link::Nat {
            let warning = Fault::at(provisioning.span, "Workstation's NAT network has a DHCP server of its own");
            cx.warn(warning.help("the appliance is the nodes' DHCP server: write \"bridged\" or a network of the nodes' own, such as \"vmnet2\""));
        }
    }
    Some(Workstation {
        directory,
        controller: controller?.value,
        uplink: uplink?.value,
        provisioning: provisioning?.value,
        vmrun,
        rest: match rest {
            Some(found) => Some(found?),
            None => None,
        },
        gui: gui?,
    })
}

fn vsphere(
    cx: &mut Decoding,
    section: &Section<'_>,
    outputs: &BTreeSet<OutputFormat>,
    resolve: Resolve<'_>,
) -> Option<Vsphere> {
    let url = service(cx, section, &["https"]);
    let credentials = section.word::<SecretRef>(cx, "credentials").map(|at| secret(at, resolve));
    let certificate = section.word::<CertificateDigest>(cx, "certificate").map(|at| at.value.0);
    let authorities = section.word::<FilePath>(cx, "authorities");
    let mut line = |key| section.word::<Line>(cx, key).map(|at| at.value.0);
    let (datacenter, compute) = (line("datacenter"), line("compute"));
    let (resource_pool, folder) = (line("resource-pool"), line("folder"));
    let datastore = line("datastore");
    let networks = section.section("networks");
    let mut line = |key| networks.word::<Line>(cx, key).map(|at| at.value.0);
    let (uplink, provisioning) = (line("uplink"), line("provisioning"));
    if uplink.is_some() && uplink == provisioning {
        same_network(cx, networks.key("provisioning").unwrap_or(networks.span));
    }
    needs(cx, section, outputs, OutputFormat::Ova, "ova");
    Some(Vsphere {
        url: url?,
        credentials: credentials?,
        certificate,
        authorities: authorities.map(|at| resolve(at.span.file, &at.value.0)),
        datacenter,
        compute,
        resource_pool,
        folder,
        datastore: datastore?,
        uplink: uplink?,
        provisioning: provisioning?,
    })
}

/// A reference of the profile is relative to the file that it stands in, whoever follows it.
fn secret(at: At<SecretRef>, resolve: Resolve<'_>) -> SecretRef {
    let path = |name: &str| resolve(at.span.file, name).to_string_lossy().into_owned();
    match &at.value {
        SecretRef::Env(name) => SecretRef::Env(name.clone()),
        SecretRef::File(name) => SecretRef::File(path(name)),
        SecretRef::Age(name) => SecretRef::Age(path(name)),
    }
}

/// The URL of a service that is logged in to.
fn service(cx: &mut Decoding, section: &Section<'_>, schemes: &[&str]) -> Option<Url> {
    let url = section.word::<Url>(cx, "url")?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none() || !url.username().is_empty() {
        let fault = Fault::at(url.span, format!("'{}' is not the address of such a service", url.value));
        cx.fault(fault.help(format!("write {}://HOST, with the user in `credentials`", schemes.join(":// or "))));
        return None;
    }
    Some(url.value)
}

/// The appliance is a DHCP server on one side, and a client on the other.
fn same_network(cx: &mut Decoding, place: Span) {
    let warning = Fault::at(place, "uplink and provisioning are the same network");
    cx.warn(warning.help("the appliance gives addresses to whoever asks there: name a network that is the nodes' own"));
}

fn is_this_host(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn needs(cx: &mut Decoding, section: &Section<'_>, outputs: &BTreeSet<OutputFormat>, format: OutputFormat, name: &str) {
    if !outputs.contains(&format) && !cx.partial {
        let fault =
            Fault::at(section.span, format!("this target is deployed from the output \"{name}\", which is not built"));
        cx.fault(fault.help(format!("add \"{name}\" to outputs.formats")));
    }
}

choice!(Controller, "disk controller", ["pvscsi" => Controller::Pvscsi, "nvme" => Controller::Nvme]);

impl Word for Link {
    const TYPE: WordType = word::<Self>("network of Workstation", "vmnet2", "^(nat|bridged|hostonly|vmnet[0-9]+)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        Ok(match text {
            "nat" => Link::Nat,
            "bridged" => Link::Bridged,
            "hostonly" => Link::HostOnly,
            _ => match text.strip_prefix("vmnet").and_then(|number| number.parse::<u8>().ok()) {
                Some(number) if text == format!("vmnet{number}") => Link::Named(text.to_owned()),
                _ => {
                    let message = format!("'{}' is not a network of VMware Workstation", text.escape_debug());
                    return Err(Complaint::new(message)
                        .help("write \"nat\", \"bridged\", \"hostonly\" or a name such as \"vmnet2\""));
                }
            },
        })
    }
}

/// SHA-256 of a certificate, as openssl and browsers show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateDigest(pub(super) String);

impl Word for CertificateDigest {
    const TYPE: WordType =
        word::<Self>("fingerprint of a certificate", "SHA256:0f...", "^SHA256:([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let digits = text.strip_prefix("SHA256:").map(|digits| digits.replace(':', "").to_ascii_lowercase());
        match digits.filter(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(digits) => Ok(CertificateDigest(format!("SHA256:{digits}"))),
            None => Err(Complaint::new(format!("'{}' is not a fingerprint", text.escape_debug())).help(
                "write SHA256: and 64 hexadecimal digits; `openssl x509 -noout -fingerprint -sha256` prints them",
            )),
        }
    }
}
