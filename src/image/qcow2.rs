//! qcow2 version 3 for QEMU and libvirt (QEMU, docs/interop/qcow2).
//!
//! In: a laid out disk and its grains in ascending order. Out: one file, written and hashed front to back, not compressed.
//! Which clusters hold data is known from the disk's extents, so every table is final before the first grain arrives.
//!
//! ```text
//! cluster 0     header
//!         1..   refcount table, refcount blocks (16 bits per cluster of the file)
//!         ..    L1 table, the L2 tables in use (8 bytes per 64 KiB of disk)
//!         ..    data
//! ```

use std::path::Path;

use super::ImageError;
use super::disk::{Chunk, Disk, GRAIN};
use super::output::{Output, Written};
use super::pipeline::GrainSink;

/// Cluster size, in bytes: the disk's grain.
const CLUSTER: u64 = GRAIN;
const CLUSTER_BITS: u32 = CLUSTER.trailing_zeros();
const L2_ENTRIES: u64 = CLUSTER / 8;
const REFCOUNTS_PER_BLOCK: u64 = CLUSTER / 2;
const HEADER_LENGTH: u32 = 104;
/// The cluster is referenced once, a guest may write to it in place.
const COPIED: u64 = 1 << 63;

pub(super) struct Qcow2Writer {
    out: Output,
}

impl Qcow2Writer {
    pub(super) fn new(path: &Path, disk: &Disk) -> Result<Self, ImageError> {
        let grains = disk.grains();
        let l1_entries = disk.grain_count().div_ceil(L2_ENTRIES);
        let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER);
        let mut l2_numbers: Vec<u64> = grains.iter().map(|grain| grain / L2_ENTRIES).collect();
        l2_numbers.dedup();

        // Refcount blocks count themselves and the table that lists them.
        let rest = 1 + l1_clusters + l2_numbers.len() as u64 + grains.len() as u64;
        let (mut table_clusters, mut blocks) = (1, 1);
        loop {
            let wanted_blocks = (rest + table_clusters + blocks).div_ceil(REFCOUNTS_PER_BLOCK);
            let wanted_table = (wanted_blocks * 8).div_ceil(CLUSTER);
            if (wanted_blocks, wanted_table) == (blocks, table_clusters) {
                break;
            }
            (blocks, table_clusters) = (wanted_blocks, wanted_table);
        }
        let first_block = 1 + table_clusters;
        let l1_start = first_block + blocks;
        let first_l2 = l1_start + l1_clusters;
        let first_data = first_l2 + l2_numbers.len() as u64;
        let total = first_data + grains.len() as u64;

        let mut header = Vec::with_capacity(HEADER_LENGTH as usize);
        header.extend(b"QFI\xfb");
        header.extend(3u32.to_be_bytes());
        header.extend([0; 12]); // no backing file: offset, length
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(disk.size().to_be_bytes());
        header.extend(0u32.to_be_bytes()); // not encrypted
        header.extend((l1_entries as u32).to_be_bytes());
        header.extend((l1_start * CLUSTER).to_be_bytes());
        header.extend(CLUSTER.to_be_bytes()); // refcount table
        header.extend((table_clusters as u32).to_be_bytes());
        header.extend([0; 12]); // no snapshots: count, offset
        header.extend([0; 24]); // features: incompatible, compatible, autoclear
        header.extend(4u32.to_be_bytes()); // refcounts of 2^4 bits
        header.extend(HEADER_LENGTH.to_be_bytes());

        let mut out = Output::create(path)?;
        out.write(&header)?;
        out.align(CLUSTER);
        out.write(&encode((0..blocks).map(|block| (first_block + block) * CLUSTER)))?;
        out.align(CLUSTER);
        out.write(&[0u8, 1].repeat(total as usize))?;
        out.align(CLUSTER);
        let mut l1 = vec![0; l1_entries as usize];
        for (index, number) in l2_numbers.iter().enumerate() {
            l1[*number as usize] = COPIED | ((first_l2 + index as u64) * CLUSTER);
        }
        out.write(&encode(l1))?;
        out.align(CLUSTER);
        let mut data = first_data;
        for table in grains.chunk_by(|a, b| a / L2_ENTRIES == b / L2_ENTRIES) {
            let mut l2 = vec![0; L2_ENTRIES as usize];
            for grain in table {
                l2[(grain % L2_ENTRIES) as usize] = COPIED | (data * CLUSTER);
                data += 1;
            }
            out.write(&encode(l2))?;
        }
        Ok(Qcow2Writer { out })
    }
}

fn encode(entries: impl IntoIterator<Item = u64>) -> Vec<u8> {
    entries.into_iter().flat_map(u64::to_be_bytes).collect()
}

impl GrainSink for Qcow2Writer {
    fn add(&mut self, chunk: &Chunk) -> Result<(), ImageError> {
        self.out.write(chunk.bytes())
    }

    fn finish(self: Box<Self>) -> Result<Written, ImageError> {
        self.out.finish()
    }
}
