//! The OVF descriptor, judged by what others read in it: Cisco's Common OVF Tool (`cot`), a grammar, and its own references.
//!
//! scripts/install-ovf-judges installs both judges; without them these tests fail. cot 2.2.1 takes the manifest of an OVF 1.x for SHA-1
//! whatever it says (VMware writes SHA-256 there, as here), so it gets the descriptor and the disk without the manifest, whose
//! lines are compared elsewhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use provbuild::profile::OutputFormat;

use crate::{Sample, judge, text};

const JUDGES: &str = "/opt/provbuild-tests/ovf/bin";
const GRAMMAR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ova_judges/envelope.rng");
/// Arguments: grammar, document. RELAX NG has no ids: references are followed here.
const VALIDATE: &str = r#"
import sys
from lxml import etree
grammar = etree.RelaxNG(etree.parse(sys.argv[1]))
document = etree.parse(sys.argv[2])
ovf = "{http://schemas.dmtf.org/ovf/envelope/1}"
rasd = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
faults = [] if grammar.validate(document) else [str(error) for error in grammar.error_log]
def names(element, attribute):
    found = [e.get(ovf + attribute) for e in document.iter(ovf + element)]
    if len(set(found)) != len(found): faults.append(f"{element}: an id twice")
    return set(found)
def texts(name): return [e.text for e in document.iter(rasd + name)]
ids = texts("InstanceID")
if len(set(ids)) != len(ids): faults.append("Item: an id twice")
for parent in texts("Parent"):
    if parent not in ids: faults.append(f"no parent {parent}")
for network in texts("Connection"):
    if network not in names("Network", "name"): faults.append(f"no network {network}")
for resource in texts("HostResource"):
    if resource.removeprefix("ovf:/disk/") not in names("Disk", "diskId"): faults.append(f"no disk {resource}")
for disk in document.iter(ovf + "Disk"):
    if disk.get(ovf + "fileRef") not in names("File", "id"): faults.append("no file of a disk")
print("\n".join(faults))
sys.exit(bool(faults))
"#;

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    judge("scripts/install-ovf-judges", &format!("{JUDGES}/{program}"), arguments)
}

fn validate(descriptor: &Path) -> (bool, String) {
    run("python3", &["-c", VALIDATE, GRAMMAR, text(descriptor)])
}

/// The package's members as files; the descriptor's path.
fn unpacked(directory: &Path) -> PathBuf {
    let mut sample = Sample::full();
    sample.file("/usr/lib/large", crate::noise(2 << 20));
    sample.write(&[OutputFormat::Ova], directory).unwrap();
    let mut archive = tar::Archive::new(File::open(directory.join("mylab.ova")).unwrap());
    archive.unpack(directory).unwrap();
    directory.join("mylab.ovf")
}

#[test]
#[ignore = "needs scripts/install-ovf-judges"]
fn the_grammar_accepts_the_envelope_and_refuses_broken_ones() {
    let directory = tempfile::tempdir().unwrap();
    let descriptor = unpacked(directory.path());
    let (content, said) = validate(&descriptor);
    assert!(content, "{said}");

    let whole = fs::read_to_string(&descriptor).unwrap();
    let moved = |from: &str, to: &str| {
        let begin = whole.find(&format!("  <{from}>")).unwrap();
        let end_tag = format!("</{from}>\n");
        let end = whole.find(&end_tag).unwrap() + end_tag.len();
        let section = &whole[begin..end];
        whole.replace(section, "").replacen(&format!("  <{to}>"), &format!("{section}  <{to}>"), 1)
    };
    let cases = [
        ("sections in another order", moved("NetworkSection", "DiskSection")),
        ("no Info", whole.replacen("    <Info>Virtual disks</Info>\n", "", 1)),
        ("a unit that VMware does not read", whole.replace("byte * 2^20\" ovf:diskId", "MegaBytes\" ovf:diskId")),
        ("elements of an item in another order", {
            let first = "        <rasd:InstanceID>1</rasd:InstanceID>\n";
            whole.replacen(first, "", 1).replacen(
                "        <rasd:AllocationUnits>",
                &format!("{first}        <rasd:AllocationUnits>"),
                1,
            )
        }),
        ("a disk of no file", whole.replace("ovf:fileRef=\"file1\"", "ovf:fileRef=\"file2\"")),
        ("an adapter on no network", whole.replace("Connection>uplink", "Connection>downlink")),
        ("a disk on no controller", whole.replace("<rasd:Parent>3<", "<rasd:Parent>9<")),
        ("an unknown element", whole.replace("<AnnotationSection>", "<x/><AnnotationSection>")),
    ];
    for (what, broken) in cases {
        assert_ne!(broken, whole, "{what}");
        fs::write(&descriptor, broken).unwrap();
        let (content, _) = validate(&descriptor);
        assert!(!content, "{what} is not found");
    }
}

#[test]
#[ignore = "needs scripts/install-ovf-judges"]
fn cot_reads_the_machine_without_a_complaint_and_can_change_it() {
    let directory = tempfile::tempdir().unwrap();
    let descriptor = unpacked(directory.path());
    fs::remove_file(directory.path().join("mylab.mf")).unwrap();
    let (content, said) = run("cot", &["info", "-vvv", text(&descriptor)]);
    assert!(content && !said.contains("WARNING") && !said.contains("ERROR"), "{said}");
    let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "256 MiB harddisk @ SCSI 0:0",
        "System types: vmx-17",
        "SCSI device types: VirtualSCSI",
        "Ethernet device types: VmxNet3",
        "None (default) 2 4 GiB 2 0 1 / 256 MiB",
        "Network adapter 1 : uplink",
        "Network adapter 2 : provisioning",
        "Annotation: a test",
    ] {
        assert!(flat.contains(wanted), "no '{wanted}' in:\n{said}");
    }

    // It understands the machine well enough to change it, and the disk goes along unchanged.
    let changed = directory.path().join("changed.ova");
    let (content, said) =
        run("cot", &["edit-hardware", text(&descriptor), "-o", text(&changed), "-c", "4", "-m", "8GiB"]);
    assert!(content && !said.contains("ERROR"), "{said}");
    let other = directory.path().join("other");
    tar::Archive::new(File::open(&changed).unwrap()).unpack(&other).unwrap();
    assert!(fs::read(other.join("mylab.vmdk")).unwrap() == fs::read(directory.path().join("mylab.vmdk")).unwrap());
    let rewritten = fs::read_to_string(other.join("changed.ovf")).unwrap();
    assert!(rewritten.contains("<rasd:VirtualQuantity>4</rasd:VirtualQuantity>"), "{rewritten}");
    assert!(rewritten.contains("bootOptions.efiSecureBootEnabled"), "{rewritten}");
}
