//! One file from one address, or from this machine, into the store.
//!
//! In: where it is and the digest that it must have. Out: its path in the store. What the store has is not looked for again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use url::Url;

use super::download::{Downloader, Failed, Wanted};
use super::error::{FetchError, MirrorError, OtherFile, Tried};
use super::mirrors::shown;
use super::store::Store;
use super::transport::{Network, Transport};
use crate::vocab::{Digest, Hasher, Progress};

/// A file to have.
pub struct FileRequest<'a> {
    /// For people.
    pub name: &'a str,
    pub sha256: Digest,
    /// Bytes, where they are known.
    pub size: Option<u64>,
    /// What else can be said of a file that has another digest.
    pub diagnose: fn(&mut File) -> Option<String>,
}

/// Gets files one by one.
pub struct FileFetcher<'a> {
    store: &'a Store,
    transport: Transport,
    progress: &'a dyn Progress,
}

impl<'a> FileFetcher<'a> {
    pub fn new(store: &'a Store, network: Network, progress: &'a dyn Progress) -> Self {
        FileFetcher { store, transport: Transport::new(network), progress }
    }

    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// Downloads a file; a broken transfer is continued by the next call.
    pub fn download(&self, url: &Url, request: &FileRequest<'_>) -> Result<PathBuf, FetchError> {
        if let Some(path) = self.store.object(&request.sha256) {
            return Ok(path);
        }
        if self.transport.network().offline {
            return Err(FetchError::Offline(request.name.to_owned()));
        }
        let wanted = Wanted {
            name: request.name.to_owned(),
            sha256: request.sha256,
            size: request.size,
            diagnose: request.diagnose,
            sources: vec![(url.clone(), String::new())],
        };
        let downloader = Downloader::new(self.store, &self.transport, self.progress);
        match downloader.all(&[wanted], 1).pop().flatten() {
            Some(Ok(path)) => Ok(path),
            Some(Err(Failed::Local(error))) => Err(error),
            Some(Err(Failed::Mirrors(tried))) => Err(FetchError::File { name: request.name.to_owned(), tried }),
            None => Err(FetchError::File { name: request.name.to_owned(), tried: Tried::default() }),
        }
    }

    /// Copies a file of this machine; the copy is what was verified, whatever becomes of the file.
    pub fn copy(&self, path: &Path, request: &FileRequest<'_>) -> Result<PathBuf, FetchError> {
        if let Some(object) = self.store.object(&request.sha256) {
            return Ok(object);
        }
        let mut source = File::open(path).map_err(FetchError::io("open", path))?;
        let (mut target, aside) = self.store.temporary_file()?.into_parts();
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    target.write_all(&buffer[..count]).map_err(FetchError::io("write", &*aside))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FetchError::io("read", path)(error)),
            }
        }
        let found = hasher.finish();
        if found != request.sha256 {
            let note = (request.diagnose)(&mut source);
            let (name, path) = (request.name.to_owned(), path.to_owned());
            let other = OtherFile { name, path, found, wanted: request.sha256, note };
            return Err(FetchError::OtherFile(Box::new(other)));
        }
        self.store.adopt(&aside, &found)
    }

    /// A small file without known digest, wholly into memory; at most `limit` bytes.
    pub fn text(&self, url: &Url, limit: u64) -> Result<Vec<u8>, FetchError> {
        let name = shown(url);
        if self.transport.network().offline {
            return Err(FetchError::Offline(name));
        }
        let downloader = Downloader::new(self.store, &self.transport, self.progress);
        downloader.small(url, "", limit)?.map_err(|error: MirrorError| {
            let mut tried = Tried::default();
            tried.add(url, error);
            FetchError::File { name, tried }
        })
    }
}
