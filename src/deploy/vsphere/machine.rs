//! One virtual machine as the server has it, and the changes that make it what it is to be.
//!
//! In: properties of a VirtualMachine; what it is to be. Out: a ConfigSpec with the differences. Invariants: no change carries a `fileOperation`,
//! so that no disk is made or removed by one; a machine with snapshots is not changed, since its disks would be other files than ours.

use std::collections::BTreeMap;

use super::super::error::{DeployError, Kind};
use super::inventory::{Network, Places};
use super::lease::extra;
use super::session::Session;
use super::soap::{Failure, Moref, said};
use super::xml::Element;

/// Which deployment a machine belongs to.
pub(super) const DEPLOYMENT: &str = "provbuild.deployment";
/// Number of the generation whose disk a machine carries, for as long as that is being put in its place.
pub(super) const CARRIER: &str = "provbuild.carrier";
/// Tells the guest its disks' ids.
const DISK_IDS: &str = "disk.EnableUUID";

const SCSI: &str = "ParaVirtualSCSIController";
const SATA: &str = "VirtualAHCIController";
/// Keys of devices that are yet to come.
const NEW_SCSI: i64 = -100;
const NEW_SATA: i64 = -101;

/// A disk goes through at most so many snapshots.
const LONGEST_CHAIN: usize = 64;

pub(super) struct Machine {
    pub(super) of: Moref,
    pub(super) name: String,
    pub(super) power: String,
    pub(super) extra: BTreeMap<String, String>,
    pub(super) devices: Vec<Device>,
    /// "[DATASTORE] DIRECTORY/NAME.vmx"
    pub(super) file: String,
    pub(super) guest: String,
    pub(super) version: String,
    snapshots: bool,
    change: Option<String>,
    memory_mib: Option<i64>,
    cpus: Option<i64>,
    firmware: String,
    secure_boot: bool,
}

pub(super) struct Device {
    key: i64,
    kind: String,
    controller: Option<i64>,
    unit: Option<i64>,
    bus: Option<i64>,
    /// Of a disk below snapshots, the first one.
    pub(super) file: Option<String>,
    mac: Option<String>,
    backing: Element,
}

/// What the descriptor of a build asks for beyond the manifest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Hardware {
    /// Identifier of the guest's operating system.
    pub(super) guest: String,
    /// "vmx-17"
    pub(super) version: String,
}

/// What a machine is to be.
pub(super) struct Wanted<'a> {
    pub(super) hardware: &'a Hardware,
    pub(super) memory_mib: i64,
    pub(super) cpus: i64,
    /// "efi" or "bios".
    pub(super) firmware: &'a str,
    pub(super) secure_boot: bool,
    /// By unit number.
    pub(super) disks: [String; 2],
    pub(super) adapters: [(&'a str, &'a Network); 2],
    pub(super) seed: Option<String>,
    /// Where a seed would be: a CD with this file is ours.
    pub(super) seed_path: String,
    pub(super) deployment: &'a str,
}

impl Machine {
    pub(super) fn read(session: &Session, of: &Moref) -> Result<Self, Failure> {
        const PATHS: [&str; 12] = [
            "name",
            "runtime.powerState",
            "snapshot",
            "config.changeVersion",
            "config.guestId",
            "config.version",
            "config.firmware",
            "config.bootOptions",
            "config.files",
            "config.extraConfig",
            "config.hardware",
            "config.uuid",
        ];
        let seen = session.properties(of, &PATHS)?;
        let text = |path: &str| seen.get(path).map(|value| value.text.trim().to_owned()).unwrap_or_default();
        let Some(hardware) = seen.get("config.hardware") else {
            return Err(DeployError::new(
                Kind::Hypervisor,
                format!("vSphere does not know the configuration of '{}' now", said(&text("name"))),
            )
            .help("is its host connected?")
            .into());
        };
        let extra = seen.get("config.extraConfig").map(|all| all.children.as_slice()).unwrap_or_default();
        // vcsim keeps every value that a key ever had: the last one counts.
        let extra =
            extra.iter().filter_map(|pair| Some((pair.text_of("key")?.to_owned(), pair.text_of("value")?.to_owned())));
        Ok(Machine {
            of: of.clone(),
            name: text("name"),
            power: text("runtime.powerState"),
            extra: extra.collect(),
            devices: hardware.all("device").filter_map(Device::read).collect(),
            file: seen.get("config.files").and_then(|files| files.text_of("vmPathName")).unwrap_or_default().to_owned(),
            guest: text("config.guestId"),
            version: text("config.version"),
            snapshots: seen.contains_key("snapshot"),
            change: Some(text("config.changeVersion")).filter(|version| !version.is_empty()),
            memory_mib: hardware.number_of("memoryMB"),
            cpus: hardware.number_of("numCPU"),
            firmware: text("config.firmware"),
            secure_boot: seen.get("config.bootOptions").is_some_and(|options| options.flag_of("efiSecureBootEnabled")),
        })
    }

    pub(super) fn is_off(&self) -> bool {
        self.power == "poweredOff"
    }

    /// One that is suspended holds no processor, and comes back where it was; it does not run.
    pub(super) fn runs(&self) -> bool {
        self.power == "poweredOn"
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.power == "suspended"
    }

    pub(super) fn disks(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.kind == "VirtualDisk")
    }

    pub(super) fn cds(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.kind == "VirtualCdrom")
    }

    fn refused(&self, why: &str) -> DeployError {
        DeployError::new(Kind::Refused, format!("the machine '{}' {why}", said(&self.name)))
    }

    /// Whether it may be changed, once it is switched off. `ours`: whether a disk's file is one of the deployment's.
    ///
    /// # Errors
    /// It has snapshots, or disks that somebody has added.
    pub(super) fn untouched(&self, ours: impl Fn(&str) -> bool) -> Result<(), DeployError> {
        if self.snapshots {
            return Err(self.refused("has snapshots; its disks cannot be changed, nor the machine removed").help(
                "delete the snapshots in vSphere (what they hold is written back to the disks), then try again",
            ));
        }
        let foreign = self.disks().filter(|disk| !disk.file.as_deref().is_some_and(&ours));
        let foreign: Vec<String> =
            foreign.map(|disk| disk.file.as_deref().map_or_else(|| format!("device {}", disk.key), said)).collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let (what, them) = if foreign.len() == 1 { ("a disk", "it") } else { ("disks", "them") };
        let why = format!("has {what} that provbuild did not make: {}", foreign.join(", "));
        Err(self.refused(&why).help(format!(
            "provbuild makes the machine anew from its own disks: remove {them} from the machine in vSphere, keeping the files, then try again; \
             disks that vSphere has moved to another datastore or directory belong back in NAME-disks"
        )))
    }

    /// # Errors
    /// It is not switched off.
    pub(super) fn changeable(&self) -> Result<(), DeployError> {
        if self.is_off() { Ok(()) } else { Err(self.refused("is not switched off").help("stop it, then deploy again")) }
    }

    /// A change, guarded against one that came in between.
    fn changes(&self) -> Element {
        let specification = Element::new("spec");
        match &self.change {
            Some(version) => specification.leaf("changeVersion", version),
            None => specification,
        }
    }

    /// Takes disks off the machine; their files stay.
    pub(super) fn without_disks(&self) -> Option<Element> {
        let removals: Vec<Element> = self.disks().map(Device::removal).collect();
        (!removals.is_empty()).then(|| self.changes().with_all(removals))
    }

    /// Takes CDs off the machine.
    pub(super) fn without_cds(&self, file: &str) -> Option<Element> {
        let removals: Vec<Element> =
            self.cds().filter(|cd| cd.file.as_deref() == Some(file)).map(Device::removal).collect();
        (!removals.is_empty()).then(|| self.changes().with_all(removals))
    }

    /// Empties the CD drives with a medium of ours: what a running machine lets one do where it keeps its devices.
    pub(super) fn with_empty_cds(&self, file: &str) -> Option<Element> {
        let ours = self.cds().filter(|cd| cd.file.as_deref() == Some(file));
        let edits: Vec<Element> = ours
            .map(|cd| {
                let backing = Element::typed("backing", "VirtualCdromRemotePassthroughBackingInfo")
                    .leaf("deviceName", "")
                    .leaf("useAutoDetect", false)
                    .leaf("exclusive", false);
                // vcsim ends the connection where an edited device has no description.
                let about =
                    Element::typed("deviceInfo", "Description").leaf("label", "CD/DVD drive").leaf("summary", "");
                let device = Element::typed("device", "VirtualCdrom").leaf("key", cd.key).with(about).with(backing);
                change("edit", cd.placed(device.with(connectable(false))))
            })
            .collect();
        (!edits.is_empty()).then(|| self.changes().with_all(edits))
    }

    /// What differs from what it is to be; `None` where nothing does.
    pub(super) fn towards(&self, wanted: &Wanted<'_>) -> Option<Element> {
        let mut devices = Vec::new();
        self.storage(wanted, &mut devices);
        self.adapters(wanted, &mut devices);
        self.cd(wanted, &mut devices);
        let mut specification = self.changes();
        let before = specification.children.len();
        if self.guest != wanted.hardware.guest {
            specification = specification.leaf("guestId", &wanted.hardware.guest);
        }
        if self.cpus != Some(wanted.cpus) {
            specification = specification.leaf("numCPUs", wanted.cpus);
        }
        if self.memory_mib != Some(wanted.memory_mib) {
            specification = specification.leaf("memoryMB", wanted.memory_mib);
        }
        specification = specification.with_all(devices);
        let extra_now = |key: &str| self.extra.get(key).map(String::as_str);
        let extras = [(DEPLOYMENT, wanted.deployment), (DISK_IDS, "TRUE")];
        let differ = extras.into_iter().filter(|(key, value)| extra_now(key) != Some(*value));
        specification = specification.with_all(differ.map(|(key, value)| extra(key, value)));
        let firmware = self.firmware != wanted.firmware;
        if firmware || self.secure_boot != wanted.secure_boot {
            specification = specification.with(boot_options(wanted.secure_boot)).leaf("firmware", wanted.firmware);
        }
        (specification.children.len() > before).then_some(specification)
    }

    fn storage(&self, wanted: &Wanted<'_>, devices: &mut Vec<Element>) {
        let controller = self.devices.iter().find(|device| device.kind == SCSI && device.bus == Some(0));
        let key = controller.map_or(NEW_SCSI, |controller| controller.key);
        if controller.is_none() {
            devices.push(scsi_controller());
        }
        let right = |disk: &Device, unit: usize| {
            disk.controller == Some(key)
                && disk.unit == Some(unit as i64)
                && disk.file.as_deref() == Some(&wanted.disks[unit])
        };
        for disk in self.disks().filter(|disk| !(0..2).any(|unit| right(disk, unit))) {
            devices.push(disk.removal());
        }
        for (unit, file) in wanted.disks.iter().enumerate() {
            if !self.disks().any(|disk| right(disk, unit)) {
                let backing = Element::typed("backing", "VirtualDiskFlatVer2BackingInfo")
                    .leaf("fileName", file)
                    .leaf("diskMode", "persistent");
                let device = Element::typed("device", "VirtualDisk")
                    .leaf("key", -200 - unit as i64)
                    .with(backing)
                    .leaf("controllerKey", key)
                    .leaf("unitNumber", unit)
                    // The file knows its own.
                    .leaf("capacityInKB", 0);
                devices.push(change("add", device));
            }
        }
    }

    fn adapters(&self, wanted: &Wanted<'_>, devices: &mut Vec<Element>) {
        let now: Vec<&Device> = self.devices.iter().filter(|device| device.mac.is_some()).collect();
        let right = |device: &Device, (mac, network): &(&str, &Network)| {
            device.kind == "VirtualVmxnet3"
                && device.mac.as_deref().is_some_and(|now| now.eq_ignore_ascii_case(mac))
                && network.plug.is(&device.backing)
        };
        let all = wanted.adapters.iter().all(|adapter| now.iter().any(|device| right(device, adapter)));
        if all && now.len() == wanted.adapters.len() {
            return;
        }
        devices.extend(now.into_iter().map(Device::removal));
        for (index, (mac, network)) in wanted.adapters.iter().enumerate() {
            let connectable = Element::new("connectable")
                .leaf("startConnected", true)
                .leaf("allowGuestControl", true)
                .leaf("connected", false);
            let device = Element::typed("device", "VirtualVmxnet3")
                .leaf("key", -300 - index as i64)
                .with(network.plug.backing(&network.of))
                .with(connectable)
                .leaf("addressType", "manual")
                .leaf("macAddress", mac);
            devices.push(change("add", device));
        }
    }

    fn cd(&self, wanted: &Wanted<'_>, devices: &mut Vec<Element>) {
        let right = |cd: &Device| cd.file.is_some() && cd.file == wanted.seed;
        // Ours, and those that a running machine left empty.
        let ours = |cd: &&Device| cd.file.is_none() || cd.file.as_deref() == Some(&wanted.seed_path);
        let there = self.cds().any(right);
        devices.extend(self.cds().filter(ours).filter(|cd| !right(cd)).map(Device::removal));
        let (Some(file), false) = (&wanted.seed, there) else { return };
        let controller = self.devices.iter().find(|device| device.kind == SATA);
        let key = controller.map_or(NEW_SATA, |controller| controller.key);
        if controller.is_none() {
            devices.push(change("add", Element::typed("device", SATA).leaf("key", NEW_SATA).leaf("busNumber", 0)));
        }
        let taken =
            |unit: &i64| self.devices.iter().any(|device| device.controller == Some(key) && device.unit == Some(*unit));
        let unit = (0..30).find(|unit| !taken(unit)).unwrap_or(0);
        let backing = Element::typed("backing", "VirtualCdromIsoBackingInfo").leaf("fileName", file);
        let device = Element::typed("device", "VirtualCdrom")
            .leaf("key", -400)
            .with(backing)
            .with(connectable(true))
            .leaf("controllerKey", key)
            .leaf("unitNumber", unit);
        devices.push(change("add", device));
    }
}

impl Device {
    fn read(element: &Element) -> Option<Self> {
        let backing = element.child("backing").cloned().unwrap_or_default();
        let mut first = &backing;
        for _ in 0..LONGEST_CHAIN {
            match first.child("parent") {
                Some(parent) => first = parent,
                None => break,
            }
        }
        Some(Device {
            key: element.number_of("key")?,
            kind: element.kind.clone().unwrap_or_default(),
            controller: element.number_of("controllerKey"),
            unit: element.number_of("unitNumber"),
            bus: element.number_of("busNumber"),
            file: first.text_of("fileName").map(str::to_owned),
            mac: element.text_of("macAddress").map(str::to_owned),
            backing,
        })
    }

    /// Off the machine; a file behind it stays.
    fn removal(&self) -> Element {
        let device = self.placed(Element::typed("device", &self.kind).leaf("key", self.key));
        change("remove", if self.kind == "VirtualDisk" { device.leaf("capacityInKB", 0) } else { device })
    }

    fn placed(&self, mut device: Element) -> Element {
        for (name, value) in [("controllerKey", self.controller), ("unitNumber", self.unit)] {
            if let Some(value) = value {
                device = device.leaf(name, value);
            }
        }
        device
    }
}

/// A machine that is not there yet: all but its disks, which come as to any other.
pub(super) fn new_machine(name: &str, uuid: &str, places: &Places, wanted: &Wanted<'_>) -> Element {
    let files = Element::new("files").leaf("vmPathName", format!("[{}]", places.datastore_name));
    let tools = Element::new("tools").leaf("syncTimeWithHost", false);
    Element::new("config")
        .leaf("name", name)
        .leaf("version", &wanted.hardware.version)
        .leaf("uuid", uuid)
        .leaf("guestId", &wanted.hardware.guest)
        .leaf("annotation", "An appliance of provbuild; its disks are in the directory NAME-disks of this datastore.")
        .with(files)
        .with(tools)
        .leaf("numCPUs", wanted.cpus)
        .leaf("memoryMB", wanted.memory_mib)
        .with(scsi_controller())
        .with(extra(DEPLOYMENT, wanted.deployment))
        .with(boot_options(wanted.secure_boot))
        .leaf("firmware", wanted.firmware)
}

fn scsi_controller() -> Element {
    let device =
        Element::typed("device", SCSI).leaf("key", NEW_SCSI).leaf("busNumber", 0).leaf("sharedBus", "noSharing");
    change("add", device)
}

fn boot_options(secure_boot: bool) -> Element {
    Element::new("bootOptions").leaf("efiSecureBootEnabled", secure_boot)
}

fn connectable(connected: bool) -> Element {
    Element::new("connectable")
        .leaf("startConnected", connected)
        .leaf("allowGuestControl", true)
        .leaf("connected", connected)
}

fn change(operation: &str, device: Element) -> Element {
    Element::typed("deviceChange", "VirtualDeviceConfigSpec").leaf("operation", operation).with(device)
}

#[cfg(test)]
mod tests {
    use super::super::inventory::Plug;
    use super::*;

    fn network(name: &str) -> Network {
        Network { of: Moref::new("Network", name), plug: Plug::Standard(name.to_owned()) }
    }

    fn written(element: &Element) -> String {
        let mut text = String::new();
        element.write(&mut text);
        text.replace("><", ">\n<")
    }

    fn bare() -> Machine {
        Machine {
            of: Moref::new("VirtualMachine", "vm-1"),
            name: "mylab".to_owned(),
            power: "poweredOff".to_owned(),
            extra: BTreeMap::new(),
            devices: Vec::new(),
            file: String::new(),
            guest: "ubuntu64Guest".to_owned(),
            version: "vmx-17".to_owned(),
            snapshots: false,
            change: Some("1".to_owned()),
            memory_mib: Some(4096),
            cpus: Some(2),
            firmware: "efi".to_owned(),
            secure_boot: true,
        }
    }

    fn devices(xml: &str) -> Vec<Device> {
        let text = format!("<d xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">{xml}</d>");
        super::super::xml::parse(&text).unwrap().children.iter().filter_map(Device::read).collect()
    }

    fn with_wanted<T>(seed: bool, work: impl FnOnce(&Wanted<'_>) -> T) -> T {
        let (uplink, provisioning) = (network("lan"), network("nodes"));
        let hardware = Hardware { guest: "ubuntu64Guest".to_owned(), version: "vmx-17".to_owned() };
        work(&Wanted {
            hardware: &hardware,
            memory_mib: 4096,
            cpus: 2,
            firmware: "efi",
            secure_boot: true,
            disks: ["[ds] mylab-disks/system-2.vmdk".to_owned(), "[ds] mylab-disks/state.vmdk".to_owned()],
            adapters: [("00:50:56:00:00:01", &uplink), ("00:50:56:00:00:02", &provisioning)],
            seed: seed.then(|| "[ds] mylab-disks/seed.iso".to_owned()),
            seed_path: "[ds] mylab-disks/seed.iso".to_owned(),
            deployment: "d",
        })
    }

    #[test]
    fn a_bare_machine_gets_everything() {
        let text = with_wanted(true, |wanted| written(&bare().towards(wanted).unwrap()));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn another_system_disk_takes_the_place_of_the_old_one_and_no_file_is_touched() {
        let mut machine = bare();
        machine.extra =
            [(DEPLOYMENT, "d"), (DISK_IDS, "TRUE")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        machine.devices = devices(concat!(
            r#"<a xsi:type="ParaVirtualSCSIController"><key>1000</key><busNumber>0</busNumber></a>"#,
            r#"<a xsi:type="VirtualDisk"><key>2000</key><backing><fileName>[ds] mylab-disks/system-1.vmdk</fileName></backing><controllerKey>1000</controllerKey><unitNumber>0</unitNumber></a>"#,
            r#"<a xsi:type="VirtualDisk"><key>2001</key><backing><fileName>[ds] mylab-disks/state.vmdk</fileName></backing><controllerKey>1000</controllerKey><unitNumber>1</unitNumber></a>"#,
            r#"<a xsi:type="VirtualVmxnet3"><key>4000</key><backing><deviceName>lan</deviceName></backing><macAddress>00:50:56:00:00:01</macAddress></a>"#,
            r#"<a xsi:type="VirtualVmxnet3"><key>4001</key><backing><deviceName>nodes</deviceName></backing><macAddress>00:50:56:00:00:02</macAddress></a>"#,
        ));
        let text = with_wanted(false, |wanted| written(&machine.towards(wanted).unwrap()));
        insta::assert_snapshot!(text);
        assert!(!text.contains("fileOperation"));

        machine.devices[1].file = Some("[ds] mylab-disks/system-2.vmdk".to_owned());
        with_wanted(false, |wanted| assert!(machine.towards(wanted).is_none(), "it is what it is to be"));
    }

    #[test]
    fn a_disk_below_snapshots_is_known_by_its_first_file() {
        let found = devices(
            r#"<a xsi:type="VirtualDisk"><key>1</key><backing><fileName>[ds] m/state-000001.vmdk</fileName><parent><fileName>[ds] m/state.vmdk</fileName></parent></backing></a>"#,
        );
        assert_eq!(found[0].file.as_deref(), Some("[ds] m/state.vmdk"));
        let machine = Machine { snapshots: true, ..bare() };
        assert!(machine.untouched(|_| true).unwrap_err().message.contains("snapshots"));
        let machine = Machine { snapshots: false, devices: found, ..machine };
        machine.untouched(|file| file == "[ds] m/state.vmdk").unwrap();
        let error = machine.untouched(|_| false).unwrap_err();
        assert!(error.message.ends_with("did not make: [ds] m/state.vmdk"), "{error}");
    }
}
