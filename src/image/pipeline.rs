//! One pass over the disk feeds every format at once.
//!
//! ```text
//!            ┌─ chunks ─► writer thread per uncompressed format (hash, write)
//! reader ────┤
//!            └─ jobs ───► compressor threads ─ packed, in order ─► stream writer (hash, write)
//! ```
//! In: a disk and the open writers. Out: finished files. The queues are short: the slowest part holds back the reader, so
//! memory stays at some tens of MiB whatever the disk's size. The output does not depend on the number of threads.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use libdeflater::CompressionLvl;

use super::ImageError;
use super::disk::{Chunk, Disk};
use super::output::Written;
use super::reuse::Reuse;
use super::vmdk::{Packed, Packer, Stream, StreamWriter};
use crate::tree::Contents;

/// Chunks that wait before each writer.
const QUEUE: usize = 16;

/// A format that takes grains as they are, in ascending order.
pub(super) trait GrainSink: Send {
    fn add(&mut self, chunk: &Chunk) -> Result<(), ImageError>;
    fn finish(self: Box<Self>) -> Result<Written, ImageError>;
}

type Job = (Arc<Chunk>, SyncSender<std::io::Result<Packed>>);

/// Writes all formats; the results of `sinks` come in their order.
pub(super) fn run(
    disk: &Disk,
    contents: &dyn Contents,
    (level, reuse): (CompressionLvl, Option<&Reuse>),
    stream: Option<StreamWriter>,
    sinks: Vec<Box<dyn GrainSink>>,
) -> Result<(Option<Stream>, Vec<Written>), ImageError> {
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut writers = Vec::new();
        for sink in sinks {
            let (sender, receiver) = sync_channel(QUEUE);
            senders.push(sender);
            writers.push(scope.spawn(move || write(sink, receiver)));
        }
        let mut compression = None;
        let mut stream_writer = None;
        if let Some(stream) = stream {
            let (jobs, waiting) = sync_channel::<Job>(QUEUE);
            let waiting = Arc::new(Mutex::new(waiting));
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                let waiting = Arc::clone(&waiting);
                scope.spawn(move || compress(&waiting, Packer::new(level, reuse)));
            }
            let (order, ordered) = sync_channel(2 * QUEUE);
            stream_writer = Some(scope.spawn(move || write_stream(stream, &ordered)));
            compression = Some((jobs, order));
        }

        let fed = feed(disk, contents, &senders, compression.as_ref());
        // Closing the queues ends the threads.
        drop(senders);
        drop(compression);
        let stream = stream_writer.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // A disk of which a part is missing must not look like a whole one. Its digest is made while the others still write.
        let stream = match stream {
            Some(Ok(writer)) => matches!(fed, Ok(Fed::Wholly)).then(|| writer.finish()),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        let written: Vec<_> = writers
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        fed?;
        Ok((stream.transpose()?, written.into_iter().collect::<Result<_, _>>()?))
    })
}

type Order = SyncSender<Receiver<std::io::Result<Packed>>>;

/// How far the disk was handed to the writers.
enum Fed {
    Wholly,
    /// A writer failed, so there was no reason to go on.
    InPart,
}

/// Reads the disk once. A queue whose other end is gone means that its writer failed: its own error says why.
fn feed(
    disk: &Disk,
    contents: &dyn Contents,
    senders: &[SyncSender<Arc<Chunk>>],
    compression: Option<&(SyncSender<Job>, Order)>,
) -> Result<Fed, ImageError> {
    for chunk in disk.read(contents) {
        let chunk = Arc::new(chunk?);
        if let Some((jobs, order)) = compression {
            let (result, packed) = sync_channel(1);
            if jobs.send((Arc::clone(&chunk), result)).is_err() || order.send(packed).is_err() {
                return Ok(Fed::InPart);
            }
        }
        for sender in senders {
            if sender.send(Arc::clone(&chunk)).is_err() {
                return Ok(Fed::InPart);
            }
        }
    }
    Ok(Fed::Wholly)
}

fn write(mut sink: Box<dyn GrainSink>, chunks: Receiver<Arc<Chunk>>) -> Result<Written, ImageError> {
    for chunk in chunks {
        sink.add(&chunk)?;
    }
    sink.finish()
}

fn compress(waiting: &Mutex<Receiver<Job>>, mut packer: Packer<'_>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, result)) = job else { return };
        // Nobody waits for the result when the stream's writer failed; its error is the one that counts.
        if result.send(packer.pack(&chunk)).is_err() {
            return;
        }
    }
}

fn write_stream(
    mut stream: StreamWriter,
    ordered: &Receiver<Receiver<std::io::Result<Packed>>>,
) -> Result<StreamWriter, ImageError> {
    for packed in ordered {
        let packed = packed.recv().unwrap_or_else(|_| Err(std::io::Error::other("a compressor thread ended early")));
        stream.add(&packed.map_err(|error| stream.error(error))?)?;
    }
    Ok(stream)
}
