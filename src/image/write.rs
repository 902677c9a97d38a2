//! From a disk and a machine to files: the stage's only door.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use libdeflater::CompressionLvl;

use super::disk::{Disk, DiskBuilder};
use super::gpt::{Role, Slice};
use super::output::{Output, Written};
use super::ovf::PackagedDisk;
use super::pipeline::{self, GrainSink};
use super::qcow2::Qcow2Writer;
use super::raw::RawWriter;
use super::reuse::{self, Reuse};
use super::vmdk::{SparseWriter, Stream, StreamWriter};
use super::{Artifact, DiskSpec, ImageError, MachineSpec, ext4, fat, gpt, ova, ovf, vmx};
use crate::profile::OutputFormat;
use crate::vocab::ByteSize;

const MIB: u64 = 1 << 20;
/// The least that holds both file systems.
const MIN_DISK: u64 = 256 * MIB;
/// VMDK counts sectors in 32 bits, ext4 blocks (here) as well.
const MAX_DISK: u64 = 2 << 40;
/// Level 1 costs a third of level 6's time and a few percent more bytes. Part of the output: another level, other bytes.
const COMPRESSION_LEVEL: i32 = 1;

/// Writes the formats into a directory that exists; the caller renames it into place once all are whole.
///
/// Files are NAME.ova, NAME.vmdk (streamOptimized), NAME.vmx with NAME-disk.vmdk (monolithicSparse), NAME.qcow2, NAME.raw.
/// The artifacts come in the order of their formats; `vmx` makes two of them. The same input makes the same bytes.
/// NAME.grains beside them is for [`write_images_reusing`], it is no artifact. Nothing is synced: a caller that needs durability syncs before its rename.
pub fn write_images(
    disk: &DiskSpec<'_>,
    machine: &MachineSpec,
    formats: &BTreeSet<OutputFormat>,
    directory: &Path,
) -> Result<Vec<Artifact>, ImageError> {
    write_images_reusing(disk, machine, formats, directory, None)
}

/// The same with an earlier build at hand: grains that did not change are taken from its VMDK (or OVA) instead of being
/// compressed again. `previous` is the directory that an earlier call filled. The bytes of the images do not depend on it,
/// and it need not be there nor be whole.
pub fn write_images_reusing(
    disk: &DiskSpec<'_>,
    machine: &MachineSpec,
    formats: &BTreeSet<OutputFormat>,
    directory: &Path,
    previous: Option<&Path>,
) -> Result<Vec<Artifact>, ImageError> {
    machine.check()?;
    // Opened before anything is written: it may be the very directory.
    let reuse = previous.and_then(|previous| Reuse::open(previous, &machine.name, COMPRESSION_LEVEL));
    let laid_out = lay_out(disk)?;
    let identity = laid_out.identity();
    let path = |suffix: &str| directory.join(format!("{}{suffix}", machine.name));
    let wants = |format| formats.contains(&format);

    let stream_path = path(".vmdk");
    let stream = match wants(OutputFormat::Vmdk) || wants(OutputFormat::Ova) {
        true => Some(StreamWriter::new(&stream_path, &laid_out, &identity)?),
        false => None,
    };
    let mut plain: Vec<OutputFormat> = Vec::new();
    let mut sinks: Vec<Box<dyn GrainSink>> = Vec::new();
    for format in formats {
        sinks.push(match format {
            OutputFormat::Vmx => Box::new(SparseWriter::new(&path("-disk.vmdk"), &laid_out, &identity)?),
            OutputFormat::Qcow2 => Box::new(Qcow2Writer::new(&path(".qcow2"), &laid_out)?),
            OutputFormat::Raw => Box::new(RawWriter::new(&path(".raw"), &laid_out)?),
            OutputFormat::Ova | OutputFormat::Vmdk => continue,
        });
        plain.push(*format);
    }
    let level = CompressionLvl::new(COMPRESSION_LEVEL).unwrap_or_default();
    let (stream, written) = pipeline::run(&laid_out, disk.contents, (level, reuse.as_ref()), stream, sinks)?;

    let mut artifacts = Vec::new();
    if let Some(stream) = stream {
        let mut grains_in = (format!("{}.vmdk", machine.name), 0);
        if wants(OutputFormat::Ova) {
            let (written, begin) = package(&path(".ova"), disk, machine, &stream)?;
            artifacts.push(artifact(OutputFormat::Ova, written));
            if !wants(OutputFormat::Vmdk) {
                grains_in = (format!("{}.ova", machine.name), begin);
            }
        }
        match wants(OutputFormat::Vmdk) {
            true => artifacts.push(artifact(OutputFormat::Vmdk, stream.written)),
            false => fs::remove_file(&stream_path).map_err(|error| ImageError::io(&stream_path, error))?,
        }
        reuse::write_index(directory, &machine.name, COMPRESSION_LEVEL, grains_in, stream.grains)?;
    }
    for (format, written) in plain.into_iter().zip(written) {
        if format == OutputFormat::Vmx {
            let disk_name = format!("{}-disk.vmdk", machine.name);
            let mut out = Output::create(&path(".vmx"))?;
            out.write(vmx::render(machine, &disk_name).as_bytes())?;
            artifacts.push(artifact(format, out.finish()?));
        }
        artifacts.push(artifact(format, written));
    }
    Ok(artifacts)
}

fn artifact(format: OutputFormat, written: Written) -> Artifact {
    Artifact { format, path: written.path, size: written.size, sha256: written.sha256 }
}

fn package(
    path: &Path,
    disk: &DiskSpec<'_>,
    machine: &MachineSpec,
    stream: &Stream,
) -> Result<(Written, u64), ImageError> {
    let disk_name = format!("{}.vmdk", machine.name);
    let packaged = PackagedDisk {
        file_name: &disk_name,
        file_size: stream.written.size,
        capacity: disk.size,
        populated: stream.populated(),
    };
    let descriptor = ovf::render(machine, &packaged);
    ova::write(path, &machine.name, &descriptor, (&stream.written, &disk_name), disk.epoch)
}

/// Partitions and file systems: 1 MiB for the table, the ESP, the root up to the last MiB.
fn lay_out(spec: &DiskSpec<'_>) -> Result<Disk, ImageError> {
    let size = spec.size.bytes();
    let fault = |reason| Err(ImageError::DiskSize { size: spec.size, reason });
    if !size.is_multiple_of(MIB) {
        return fault("it is not a multiple of 1MiB");
    }
    if size < MIN_DISK {
        return fault("it is smaller than 256MiB");
    }
    if size > MAX_DISK {
        return fault("it is larger than 2TiB");
    }
    let esp = (MIB, fat::size_for(spec.esp).bytes());
    let root_start = esp.0 + esp.1;
    if root_start + MIN_DISK / 2 > size {
        return Err(ImageError::DiskTooSmall { needed: ByteSize(root_start + MIN_DISK / 2), size: spec.size });
    }
    let root = (root_start, size - MIB - root_start);

    let mut disk = DiskBuilder::new(size);
    let slices = [
        Slice { name: "esp", role: Role::Esp, id: spec.ids.esp_partition, start: esp.0, length: esp.1 },
        Slice { name: "root", role: Role::Root, id: spec.ids.root_partition, start: root.0, length: root.1 },
    ];
    gpt::lay_out(size, spec.ids.disk, &slices, &mut disk)?;
    fat::lay_out(spec.esp, esp, spec.ids.esp_volume, spec.epoch, &mut disk)?;
    ext4::lay_out(spec.root, root, &spec.ids, spec.epoch, &mut disk)?;
    Ok(disk.finish())
}
