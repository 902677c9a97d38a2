//! What a machine is made of (DSP0268: Processor, Memory, Storage, Drive, EthernetInterface, SoftwareInventory).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::gather::{Gather, noted, table};
use crate::machine::Talk;
use crate::service::{link, linked};
use crate::status::text;

/// A machine's parts. Absent is what the BMC does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hardware {
    pub processors: Vec<Processor>,
    /// Of all memory.
    pub memory_gib: Option<f64>,
    pub memory: Vec<MemoryModule>,
    pub drives: Vec<Drive>,
    pub nics: Vec<Nic>,
    pub firmware: Vec<Firmware>,
    /// What could not be had, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Processor {
    pub socket: String,
    pub model: Option<String>,
    pub cores: Option<u64>,
    pub threads: Option<u64>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemoryModule {
    pub slot: String,
    pub size_mib: Option<u64>,
    /// "DDR4" ...
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub speed_mhz: Option<u64>,
    pub manufacturer: Option<String>,
    pub part: Option<String>,
    pub serial: Option<String>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drive {
    pub name: String,
    pub model: Option<String>,
    /// What nodes.toml's `disk.serial` is compared with.
    pub serial: Option<String>,
    pub size_bytes: Option<u64>,
    /// "SSD" or "HDD".
    pub media: Option<String>,
    /// "SATA", "NVMe" ...
    pub protocol: Option<String>,
    pub health: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Nic {
    pub name: String,
    /// As nodes.toml's `mac` has it: lower case, with colons.
    pub mac: Option<String>,
    /// "LinkUp" ...
    pub link: Option<String>,
    pub speed_mbps: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Firmware {
    pub name: String,
    pub version: Option<String>,
}

/// Reads it.
pub(crate) async fn read(talk: &Talk<'_>) -> Result<Hardware, Error> {
    let system = &talk.service.system_body;
    let mut gather = Gather::new(talk);
    let mut found =
        Hardware { memory_gib: system["MemorySummary"]["TotalSystemMemoryGiB"].as_f64(), ..Hardware::default() };
    talk.step("reading processors and memory");
    let all = gather.members(&system["Processors"], "read the processors").await?;
    found.processors = all.iter().filter(|body| is_there(body)).map(processor).collect();
    let all = gather.members(&system["Memory"], "read the memory").await?;
    found.memory = all.iter().filter(|body| is_there(body)).map(module).collect();
    if found.memory_gib.is_none() && !found.memory.is_empty() {
        let mib: u64 = found.memory.iter().filter_map(|module| module.size_mib).sum();
        found.memory_gib = Some(mib as f64 / 1024.0);
    }
    talk.step("reading drives and network interfaces");
    found.drives = drives(&mut gather, system).await?;
    found.nics = nics(&mut gather, system).await?;
    talk.step("reading firmware versions");
    found.firmware = firmware(&mut gather, talk).await?;
    found.notes = gather.notes;
    Ok(found)
}

fn is_there(body: &Value) -> bool {
    body["Status"]["State"] != "Absent"
}

fn name(body: &Value, names: &[&str]) -> String {
    names.iter().find_map(|name| text(&body[*name])).unwrap_or_default()
}

fn health(body: &Value) -> Option<String> {
    text(&body["Status"]["Health"])
}

fn processor(body: &Value) -> Processor {
    Processor {
        socket: name(body, &["Socket", "Id", "Name"]),
        model: text(&body["Model"]),
        cores: body["TotalCores"].as_u64(),
        threads: body["TotalThreads"].as_u64(),
        health: health(body),
    }
}

fn module(body: &Value) -> MemoryModule {
    MemoryModule {
        slot: name(body, &["DeviceLocator", "Id", "Name"]),
        size_mib: body["CapacityMiB"].as_u64(),
        kind: text(&body["MemoryDeviceType"]),
        speed_mhz: body["OperatingSpeedMhz"].as_u64(),
        manufacturer: text(&body["Manufacturer"]),
        part: text(&body["PartNumber"]),
        serial: text(&body["SerialNumber"]),
        health: health(body),
    }
}

/// Through Storage; through SimpleStorage, which has no serial numbers, where that shows none.
async fn drives(gather: &mut Gather<'_>, system: &Value) -> Result<Vec<Drive>, Error> {
    const WHAT: &str = "read the drives";
    let mut found = Vec::new();
    for storage in gather.members(&system["Storage"], WHAT).await? {
        for body in gather.all(&linked(&storage["Drives"]), WHAT).await? {
            if is_there(&body) {
                found.push(drive(&body));
            }
        }
    }
    if found.is_empty() {
        for storage in gather.members(&system["SimpleStorage"], WHAT).await? {
            let devices = storage["Devices"].as_array().into_iter().flatten();
            found.extend(devices.filter(|body| is_there(body)).map(drive));
        }
    }
    Ok(found)
}

fn drive(body: &Value) -> Drive {
    Drive {
        name: name(body, &["Name", "Id"]),
        model: text(&body["Model"]),
        serial: text(&body["SerialNumber"]),
        size_bytes: body["CapacityBytes"].as_u64(),
        media: text(&body["MediaType"]),
        protocol: text(&body["Protocol"]),
        health: health(body),
    }
}

/// Through EthernetInterfaces; through the adapters of NetworkInterfaces where that shows none.
async fn nics(gather: &mut Gather<'_>, system: &Value) -> Result<Vec<Nic>, Error> {
    const WHAT: &str = "read the network interfaces";
    let mut found: Vec<Nic> = gather.members(&system["EthernetInterfaces"], WHAT).await?.iter().map(nic).collect();
    if found.is_empty() {
        for interface in gather.members(&system["NetworkInterfaces"], WHAT).await? {
            let own = link(&interface["NetworkDeviceFunctions"]);
            let adapter = gather.one(&interface["Links"]["NetworkAdapter"], WHAT).await?.unwrap_or_default();
            let functions = own.map_or(&adapter["NetworkDeviceFunctions"], |_| &interface["NetworkDeviceFunctions"]);
            let functions = gather.members(functions, WHAT).await?;
            found.extend(
                functions
                    .iter()
                    .map(|function| Nic { name: name(function, &["Id", "Name"]), ..nic(&function["Ethernet"]) }),
            );
        }
    }
    found.retain(|nic| nic.mac.is_some() || !nic.name.is_empty());
    Ok(found)
}

fn nic(body: &Value) -> Nic {
    let mac = text(&body["PermanentMACAddress"]).or_else(|| text(&body["MACAddress"]));
    Nic {
        name: name(body, &["Id", "Name"]),
        mac: mac.map(|mac| mac.to_lowercase().replace('-', ":")),
        link: text(&body["LinkStatus"]),
        speed_mbps: body["SpeedMbps"].as_u64().filter(|speed| *speed > 0),
    }
}

async fn firmware(gather: &mut Gather<'_>, talk: &Talk<'_>) -> Result<Vec<Firmware>, Error> {
    const WHAT: &str = "read the firmware versions";
    let Some(service) = gather.one(&talk.client.root["UpdateService"], WHAT).await? else { return Ok(Vec::new()) };
    let all = gather.members(&service["FirmwareInventory"], WHAT).await?;
    Ok(all.iter().map(|body| Firmware { name: name(body, &["Name", "Id"]), version: text(&body["Version"]) }).collect())
}

/// As disks are sold: in powers of ten.
fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000_000.. => format!("{:.1} TB", bytes as f64 / 1e12),
        _ => format!("{:.0} GB", bytes as f64 / 1e9),
    }
}

impl Hardware {
    pub(crate) fn summary(&self) -> String {
        let cores: u64 = self.processors.iter().filter_map(|processor| processor.cores).sum();
        let memory = self.memory_gib.map(|gib| format!("{gib} GiB")).unwrap_or_else(|| "unknown".to_owned());
        format!(
            "{} processors ({cores} cores), memory {memory}, {} drives, {} network interfaces",
            self.processors.len(),
            self.drives.len(),
            self.nics.len()
        )
    }

    pub(crate) fn details(&self) -> String {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let counted = |count: Option<u64>, unit: &str| count.map(|count| format!("{count} {unit}")).unwrap_or_default();
        let mut all = String::new();
        let mut section = |title: &str, rows: String| {
            if !rows.is_empty() {
                all += &format!("{title}\n");
                all.extend(rows.lines().map(|line| format!("  {line}\n")));
            }
        };
        let rows = self.processors.iter().map(|one| {
            let cores = format!("{} {}", counted(one.cores, "cores"), counted(one.threads, "threads"));
            [one.socket.clone(), or(&one.model), cores, or(&one.health)]
        });
        section("processors", table(&rows.collect::<Vec<_>>()));
        let rows = self.memory.iter().map(|one| {
            let about = [&one.manufacturer, &one.part, &one.serial].map(or).join(" ");
            [one.slot.clone(), counted(one.size_mib, "MiB"), or(&one.kind), counted(one.speed_mhz, "MHz"), about]
        });
        section("memory", table(&rows.collect::<Vec<_>>()));
        let rows = self.drives.iter().map(|one| {
            let about = [&one.media, &one.protocol, &one.health].map(or).join(" ");
            [one.name.clone(), or(&one.serial), one.size_bytes.map(size).unwrap_or_default(), or(&one.model), about]
        });
        section("drives (the second column is what disk.serial in nodes.toml means)", table(&rows.collect::<Vec<_>>()));
        let rows = self.nics.iter().map(|one| {
            [one.name.clone(), or(&one.mac), one.link.clone().unwrap_or_default(), counted(one.speed_mbps, "Mb/s")]
        });
        section("network (the second column is what mac in nodes.toml means)", table(&rows.collect::<Vec<_>>()));
        let rows = self.firmware.iter().map(|one| [one.name.clone(), or(&one.version)]);
        section("firmware", table(&rows.collect::<Vec<_>>()));
        all + &noted(&self.notes)
    }
}
