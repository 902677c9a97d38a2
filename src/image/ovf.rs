//! The OVF descriptor (DMTF DSP0243, version 1.1) with VMware's extensions for firmware and Secure Boot.
//!
//! In: the machine, the disk's size, the finished VMDK. Out: the text of NAME.ovf; the same input gives the same text.
//! Order and units are those that vSphere and Workstation accept: the elements of an `Item` are in alphabetical order,
//! memory is in `byte * 2^20`, the disk's capacity in the largest unit that divides it.

use std::fmt::Write as _;

use super::MachineSpec;
use super::machine::{Guest, HARDWARE_VERSION};
use crate::vocab::ByteSize;

/// The disk as the descriptor refers to it.
pub(super) struct PackagedDisk<'a> {
    pub(super) file_name: &'a str,
    /// Length of the file, in bytes.
    pub(super) file_size: u64,
    pub(super) capacity: ByteSize,
    /// Bytes of the capacity that hold data.
    pub(super) populated: u64,
}

/// One RASD item; ids are numbered from 1 in the order of the items.
struct Item {
    resource_type: u32,
    element_name: String,
    /// Further RASD elements by name.
    fields: Vec<(&'static str, String)>,
}

impl Item {
    fn new(resource_type: u32, element_name: impl Into<String>) -> Self {
        Item { resource_type, element_name: element_name.into(), fields: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    fn render(mut self, id: usize) -> String {
        self.fields.push(("ElementName", self.element_name));
        self.fields.push(("InstanceID", id.to_string()));
        self.fields.push(("ResourceType", self.resource_type.to_string()));
        self.fields.sort();
        let fields = self.fields.iter().fold(String::new(), |text, (name, value)| {
            text + &format!("        <rasd:{name}>{}</rasd:{name}>\n", escape(value))
        });
        format!("      <Item>\n{fields}      </Item>\n")
    }
}

/// Renders the descriptor.
pub(super) fn render(machine: &MachineSpec, disk: &PackagedDisk<'_>) -> String {
    let guest = Guest::of(machine.distribution);
    let name = escape(&machine.name);
    let description = escape(&machine.description);
    let file = escape(disk.file_name);
    let (capacity, unit) = capacity(disk.capacity);
    let mut networks = String::new();
    for (network, text, _) in machine.adapters() {
        write_line(&mut networks, 4, &format!("<Network ovf:name=\"{network}\">"));
        write_line(&mut networks, 6, &format!("<Description>{text}</Description>"));
        write_line(&mut networks, 4, "</Network>");
    }
    let items: String = items(machine).into_iter().zip(1..).map(|(item, id)| item.render(id)).collect();
    let secure_boot = machine.secure_boot;
    let version = HARDWARE_VERSION;
    let Guest { cim, vsphere, description: guest, .. } = guest;
    let (file_size, populated) = (disk.file_size, disk.populated);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
    <File ovf:href="{file}" ovf:id="file1" ovf:size="{file_size}"/>
  </References>
  <DiskSection>
    <Info>Virtual disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="{unit}" ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="{populated}"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks, by role</Info>
{networks}  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A provisioning appliance</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="{cim}" vmw:osType="{vsphere}">
      <Info>Operating system</Info>
      <Description>{guest}</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-{version}</vssd:VirtualSystemType>
      </System>
{items}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="{secure_boot}"/>
      <vmw:Config ovf:required="false" vmw:key="tools.syncTimeWithHost" vmw:value="false"/>
    </VirtualHardwareSection>
    <AnnotationSection>
      <Info>Description</Info>
      <Annotation>{description}</Annotation>
    </AnnotationSection>
  </VirtualSystem>
</Envelope>
"#
    )
}

fn items(machine: &MachineSpec) -> Vec<Item> {
    const CPU: u32 = 3;
    const MEMORY: u32 = 4;
    const SCSI: u32 = 6;
    const ETHERNET: u32 = 10;
    const DISK: u32 = 17;
    /// The controller is the third item.
    const CONTROLLER_ID: u32 = 3;
    let mut items = vec![
        Item::new(CPU, format!("{} virtual CPU(s)", machine.cpus))
            .with("AllocationUnits", "hertz * 10^6")
            .with("Description", "Number of virtual CPUs")
            .with("VirtualQuantity", machine.cpus),
        Item::new(MEMORY, format!("{}MB of memory", machine.memory_mib()))
            .with("AllocationUnits", "byte * 2^20")
            .with("Description", "Memory size")
            .with("VirtualQuantity", machine.memory_mib()),
        Item::new(SCSI, "SCSI controller 0")
            .with("Address", 0)
            .with("Description", "Paravirtual SCSI controller")
            .with("ResourceSubType", "VirtualSCSI"),
        Item::new(DISK, "Hard disk 1")
            .with("AddressOnParent", 0)
            .with("HostResource", "ovf:/disk/vmdisk1")
            .with("Parent", CONTROLLER_ID),
    ];
    for (index, (network, _, mac)) in machine.adapters().into_iter().enumerate() {
        items.push(
            Item::new(ETHERNET, format!("Network adapter {}", index + 1))
                .with("Address", mac)
                // VMware's own order: the first adapter stands at 7.
                .with("AddressOnParent", 7 + index)
                .with("AutomaticAllocation", true)
                .with("Connection", network)
                .with("Description", format!("vmxnet3 adapter on \"{network}\""))
                .with("ResourceSubType", "VmxNet3"),
        );
    }
    items
}

/// Capacity in the largest unit that divides it.
fn capacity(size: ByteSize) -> (u64, String) {
    let power = [30, 20, 10].into_iter().find(|power| size.bytes().is_multiple_of(1 << power));
    match power {
        Some(power) => (size.bytes() >> power, format!("byte * 2^{power}")),
        None => (size.bytes(), "byte".to_owned()),
    }
}

fn write_line(text: &mut String, indent: usize, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{:indent$}{line}", "");
}

/// Escapes a text for XML 1.0 content and attributes; characters that XML cannot hold become `?`.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("a<b> & \"c\"\n\u{1}"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;?");
    }

    #[test]
    fn capacities() {
        assert_eq!(capacity(ByteSize::gib(25)), (25, "byte * 2^30".to_owned()));
        assert_eq!(capacity(ByteSize::mib(1500)), (1500, "byte * 2^20".to_owned()));
    }

    #[test]
    fn the_whole_descriptor() {
        let disk = PackagedDisk {
            file_name: "mylab.vmdk",
            file_size: 123_456_789,
            capacity: ByteSize::gib(25),
            populated: 345_678,
        };
        insta::assert_snapshot!(render(&crate::image::tests::machine(), &disk));
    }
}
