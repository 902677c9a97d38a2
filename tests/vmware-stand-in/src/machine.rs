//! What a VMX means: the machine, or why Workstation would not start it.
//!
//! In: the file and what lies beside it. Out: disks, CDs, network cards and firmware, checked. It refuses more than Workstation does where
//! Workstation would go on with something else than what was meant (a disk on an adapter that is not there).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::disk::{self, Kind};
use crate::vmx::Dictionary;
use crate::{Refusal, hash};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    Nvme,
    Scsi,
    Sata,
    Ide,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// "scsi0:0"
    pub device: String,
    pub bus: Bus,
    pub controller: u8,
    pub unit: u8,
    pub file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cd {
    pub device: String,
    pub file: PathBuf,
    pub connected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Nat,
    /// Bridged, host-only, or a network by its name.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// "vmxnet3"
    pub model: String,
    pub mac: String,
    pub link: Link,
    pub connected: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub vmx: PathBuf,
    pub name: String,
    pub memory_mib: u64,
    pub cpus: u64,
    pub efi: bool,
    pub secure_boot: bool,
    pub nvram: PathBuf,
    pub disks: Vec<Disk>,
    pub cds: Vec<Cd>,
    pub cards: Vec<Card>,
    /// File of the first serial port.
    pub serial: Option<PathBuf>,
    pub dictionary: Dictionary,
}

/// Newest hardware version (Workstation 25H2).
const NEWEST: u64 = 22;
/// The first one with UEFI Secure Boot.
const SECURE_BOOT_SINCE: u64 = 14;

/// A .vmx that is there, as a dictionary.
pub(crate) fn dictionary(vmx: &Path) -> Result<Dictionary, Refusal> {
    let shown = vmx.display();
    if !vmx.is_file() {
        return Err(Refusal::new(format!("Cannot open VM: {shown}, The virtual machine cannot be found")));
    }
    let unreadable =
        || Refusal::new(format!("Cannot open VM: {shown}, Cannot read the virtual machine configuration file"));
    let bytes = std::fs::read(vmx).map_err(|error| unreadable().because(&error.to_string()))?;
    let found = Dictionary::parse(&bytes)
        .map_err(|problem| unreadable().because(&format!("Dictionary problem: {shown}: {problem}")))?;
    for (name, wanted) in [("config.version", "8"), ("virtualHW.version", ""), ("displayName", ""), ("guestOS", "")] {
        let value = found.get(name).unwrap_or_default();
        if value.is_empty() || !wanted.is_empty() && value != wanted {
            return Err(unreadable().because(&format!("{name} is \"{value}\"")));
        }
    }
    Ok(found)
}

struct Reader<'a> {
    dictionary: &'a Dictionary,
    directory: &'a Path,
    /// Slots behind PCI Express root ports that are left.
    slots: u64,
}

fn wrong(name: &str, value: &str, why: &str) -> Refusal {
    Refusal::new(format!("The configuration file contains an invalid value: {name} = \"{value}\": {why}"))
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.dictionary.get(name)
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        match self.text(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(wrong(name, value, "TRUE or FALSE")),
        }
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, Refusal> {
        let value = self.text(name);
        value.map_or(Ok(default), |value| value.parse().map_err(|_| wrong(name, value, "not a number")))
    }

    fn choice(&self, name: &str, default: &str, known: &[&str]) -> Result<String, Refusal> {
        let value = self.text(name).unwrap_or(default).to_ascii_lowercase();
        if known.contains(&value.as_str()) { Ok(value) } else { Err(wrong(name, &value, &known.join(", "))) }
    }

    fn file(&self, name: &str) -> Result<PathBuf, Refusal> {
        let value = self.text(name).unwrap_or_default();
        if value.is_empty() || value.contains('\\') {
            return Err(wrong(name, value, "a file of this host, with / between directories"));
        }
        Ok(self.directory.join(value))
    }

    fn takes_a_slot(&mut self, device: &str) -> Result<(), Refusal> {
        self.slots = self
            .slots
            .checked_sub(1)
            .ok_or_else(|| Refusal::new(format!("No PCIe slot available for {device}. Add pciBridge4 to 7")))?;
        Ok(())
    }

    fn bridges(&mut self) -> Result<(), Refusal> {
        for number in 4..8 {
            let bridge = format!("pciBridge{number}");
            if self.flag(&format!("{bridge}.present"), false)? {
                self.choice(&format!("{bridge}.virtualDev"), "", &["pcierootport"])?;
                self.slots += self.number(&format!("{bridge}.functions"), 1)?;
            }
        }
        Ok(())
    }

    /// "scsi0:1" for each such device that is present, with what stands behind the dot of its names.
    fn devices(&self, bus: &str) -> Result<BTreeMap<(u8, u8), String>, Refusal> {
        let mut found = BTreeMap::new();
        for name in self.dictionary.names() {
            let name = name.to_ascii_lowercase();
            let Some((device, _)) = name.split_once('.') else { continue };
            let Some((controller, unit)) = device.strip_prefix(bus).and_then(|rest| rest.split_once(':')) else {
                continue;
            };
            let (Ok(controller), Ok(unit)) = (controller.parse(), unit.parse()) else { continue };
            if self.flag(&format!("{device}.present"), false)? {
                if !self.flag(&format!("{bus}{controller}.present"), bus == "ide")? {
                    return Err(Refusal::new(format!("{device} has no adapter: {bus}{controller} is not present")));
                }
                found.insert((controller, unit), device.to_owned());
            }
        }
        Ok(found)
    }

    fn storage(&mut self) -> Result<(Vec<Disk>, Vec<Cd>), Refusal> {
        let (mut disks, mut cds) = (Vec::new(), Vec::new());
        let buses = [("nvme", Bus::Nvme, 15), ("scsi", Bus::Scsi, 16), ("sata", Bus::Sata, 30), ("ide", Bus::Ide, 2)];
        for (name, bus, units) in buses {
            for controller in 0..4 {
                let adapter = format!("{name}{controller}");
                if bus != Bus::Ide && self.flag(&format!("{adapter}.present"), false)? {
                    let model = match bus {
                        Bus::Scsi => self.choice(
                            &format!("{adapter}.virtualDev"),
                            "lsilogic",
                            &["pvscsi", "lsilogic", "lsisas1068", "buslogic"],
                        )?,
                        _ => String::new(),
                    };
                    if bus == Bus::Nvme || model == "pvscsi" {
                        self.takes_a_slot(&adapter)?;
                    }
                }
            }
            for ((controller, unit), device) in self.devices(name)? {
                if unit >= units || bus == Bus::Scsi && unit == 7 {
                    return Err(Refusal::new(format!("{device}: there is no such place on this adapter")));
                }
                let disk = if bus == Bus::Scsi { "scsi-hardDisk" } else { "disk" };
                let kinds = ["disk", "scsi-harddisk", "ata-harddisk", "cdrom-image"];
                match self.choice(&format!("{device}.deviceType"), &disk.to_ascii_lowercase(), &kinds)?.as_str() {
                    "cdrom-image" if bus == Bus::Nvme => {
                        return Err(Refusal::new(format!("{device}: NVMe has no CDs")));
                    }
                    "cdrom-image" => cds.push(self.cd(device)?),
                    _ => disks.push(self.disk(device, bus, controller, unit)?),
                }
            }
        }
        Ok((disks, cds))
    }

    fn disk(&self, device: String, bus: Bus, controller: u8, unit: u8) -> Result<Disk, Refusal> {
        let file = self.file(&format!("{device}.fileName"))?;
        self.choice(
            &format!("{device}.mode"),
            "persistent",
            &["persistent", "independent-persistent", "independent-nonpersistent", "undoable"],
        )?;
        let refused = |why: &str| {
            let shown = file.display();
            let text = format!("Cannot open the disk '{shown}' or one of the snapshot disks it depends on.");
            Err(Refusal::new(format!("{text} Reason: {why}")))
        };
        match disk::kind(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                refused("The system cannot find the file specified.")
            }
            Err(error) => refused(&format!("{error}.")),
            Ok(Kind::StreamOptimized) => refused("Unsupported or invalid disk type 7 (streamOptimized)."),
            Ok(Kind::Unknown) => refused("The file specified is not a virtual disk."),
            Ok(Kind::Writable) => Ok(Disk { device, bus, controller, unit, file }),
        }
    }

    fn cd(&self, device: String) -> Result<Cd, Refusal> {
        let file = self.file(&format!("{device}.fileName"))?;
        let mut connected = self.flag(&format!("{device}.startConnected"), true)?;
        if connected && !file.is_file() {
            // A question: whether to go on without it.
            if !self.flag("msg.autoAnswer", false)? {
                let text = format!("Cannot connect file \"{}\" as a CD-ROM image", file.display());
                return Err(Refusal::new(format!("The operation was canceled\n{text}")));
            }
            connected = false;
        }
        Ok(Cd { device, file, connected })
    }

    fn cards(&mut self) -> Result<Vec<Card>, Refusal> {
        let mut cards = Vec::new();
        for number in 0..10 {
            let card = format!("ethernet{number}");
            if !self.flag(&format!("{card}.present"), false)? {
                continue;
            }
            let model =
                self.choice(&format!("{card}.virtualDev"), "vlance", &["vmxnet3", "e1000e", "e1000", "vlance"])?;
            if matches!(model.as_str(), "vmxnet3" | "e1000e") {
                self.takes_a_slot(&format!("Ethernet{number}"))?;
            }
            let kinds = ["bridged", "nat", "hostonly", "custom"];
            let kind = self.choice(&format!("{card}.connectionType"), "bridged", &kinds)?;
            if kind == "custom" {
                let name = self.text(&format!("{card}.vnet")).unwrap_or_default();
                let number = name.strip_prefix("/dev/").unwrap_or(name).strip_prefix("vmnet");
                if number.and_then(|number| number.parse::<u8>().ok()).is_none() {
                    return Err(wrong(&format!("{card}.vnet"), name, "vmnet0 to vmnet255"));
                }
            }
            cards.push(Card {
                mac: self.mac(&card)?,
                model,
                link: if kind == "nat" { Link::Nat } else { Link::Other },
                connected: self.flag(&format!("{card}.startConnected"), true)?,
            });
        }
        let mut macs: Vec<&str> = cards.iter().map(|card| card.mac.as_str()).collect();
        macs.sort_unstable();
        match macs.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Refusal::new(format!("MAC address {} is there twice", pair[0]))),
            None => Ok(cards),
        }
    }

    fn mac(&self, card: &str) -> Result<String, Refusal> {
        if self.choice(&format!("{card}.addressType"), "generated", &["generated", "static"])? == "generated" {
            let number = hash(format!("{}{card}", self.directory.display()).as_bytes());
            return Ok(format!(
                "00:0c:29:{:02x}:{:02x}:{:02x}",
                number as u8,
                (number >> 8) as u8,
                (number >> 16) as u8
            ));
        }
        let value = self.text(&format!("{card}.address")).unwrap_or_default().to_ascii_lowercase();
        let bytes: Vec<u8> =
            value.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2)).collect();
        match bytes[..] {
            [0x00, 0x50, 0x56, 0x00..=0x3f, ..] if bytes.len() == 6 && value.len() == 17 => Ok(value),
            _ => Err(Refusal::new(format!(
                "MAC address {value} of adapter {card} is not an allowed static Ethernet address. \
                 It conflicts with VMware reserved MACs for other usage"
            ))),
        }
    }

    fn serial(&self) -> Result<Option<PathBuf>, Refusal> {
        if !self.flag("serial0.present", false)? {
            return Ok(None);
        }
        match self.choice("serial0.fileType", "device", &["file", "pipe", "device", "network", "thinprint"])?.as_str() {
            "file" => self.file("serial0.fileName").map(Some),
            _ => Ok(None),
        }
    }
}

impl Machine {
    /// # Errors
    /// Why Workstation would not start it.
    pub fn read(vmx: &Path) -> Result<Machine, Refusal> {
        let found = dictionary(vmx)?;
        let directory = vmx.parent().unwrap_or(Path::new("/")).to_owned();
        let mut reader = Reader { dictionary: &found, directory: &directory, slots: 0 };
        let version = reader.number("virtualHW.version", 0)?;
        if !(8..=NEWEST).contains(&version) {
            return Err(wrong("virtualHW.version", &version.to_string(), "this Workstation cannot run it"));
        }
        let memory_mib = reader.number("memsize", 32)?;
        if memory_mib < 4 || !memory_mib.is_multiple_of(4) {
            return Err(wrong("memsize", &memory_mib.to_string(), "a multiple of 4"));
        }
        let cpus = reader.number("numvcpus", 1)?;
        let cores = reader.number("cpuid.coresPerSocket", 1)?;
        if !(1..=32).contains(&cpus) || cores == 0 || !cpus.is_multiple_of(cores) {
            return Err(wrong("numvcpus", &cpus.to_string(), "1 to 32, a multiple of cpuid.coresPerSocket"));
        }
        let efi = reader.choice("firmware", "bios", &["bios", "efi"])? == "efi";
        let secure_boot = reader.flag("uefi.secureBoot.enabled", false)?;
        if secure_boot && (!efi || version < SECURE_BOOT_SINCE) {
            return Err(wrong("uefi.secureBoot.enabled", "TRUE", "needs firmware = \"efi\" and hardware version 14"));
        }
        reader.bridges()?;
        let (disks, cds) = reader.storage()?;
        let cards = reader.cards()?;
        let nvram = match reader.text("nvram") {
            Some(_) => reader.file("nvram")?,
            None => vmx.with_extension("nvram"),
        };
        let serial = reader.serial()?;
        Ok(Machine {
            vmx: vmx.to_owned(),
            name: found.get("displayName").unwrap_or_default().to_owned(),
            memory_mib,
            cpus,
            efi,
            secure_boot,
            nvram,
            disks,
            cds,
            cards,
            serial,
            dictionary: found,
        })
    }
}
