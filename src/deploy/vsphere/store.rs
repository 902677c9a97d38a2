//! The deployment's own directory in the datastore, `[DATASTORE] NAME-disks`: files by HTTP, disks by the virtual disk manager.
//!
//! ```text
//! deployment.json        the record; .new while it is written
//! system-N.vmdk          system disk of generation N; it has this name only when it is whole
//! system-N.json          the hardware that the build's descriptor asks for
//! state.vmdk             the state disk
//! seed.iso               the medium with the secrets
//! lock-N/ID              who deploys
//! ```
//! In: names in that directory. Out: their bytes, lists of them. Invariants: nothing outside the directory is written or removed, except where a
//! method takes a whole path and says why; what a server lists is bounded.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Body;
use reqwest::header::CONTENT_LENGTH;
use secrecy::zeroize::Zeroizing;
use url::Url;

use super::super::error::{DeployError, Kind};
use super::inventory::Places;
use super::session::{Session, bounded, status_failure};
use super::soap::{Failure, Moref};
use super::tls;
use super::xml::Element;
use crate::vocab::ByteSize;

/// For the transfer of a small file.
const TRANSFER: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub(super) struct Store {
    pub(super) session: Arc<Session>,
    datacenter: Moref,
    datacenter_path: String,
    datastore: String,
    browser: Moref,
    /// "NAME-disks"
    directory: String,
}

impl Store {
    pub(super) fn new(session: &Arc<Session>, places: &Places, name: &str) -> Self {
        Store {
            session: Arc::clone(session),
            datacenter: places.datacenter.clone(),
            datacenter_path: places.datacenter_path.clone(),
            datastore: places.datastore_name.clone(),
            browser: places.browser.clone(),
            directory: format!("{name}-disks"),
        }
    }

    /// "[DATASTORE] NAME-disks/FILE"
    pub(super) fn path(&self, file: &str) -> String {
        format!("[{}] {}/{file}", self.datastore, self.directory)
    }

    fn whole(&self) -> String {
        format!("[{}] {}", self.datastore, self.directory)
    }

    /// Makes the directory where there is none.
    pub(super) fn make(&self) -> Result<(), Failure> {
        match self.make_directory(&self.whole()) {
            Err(failure) if failure.is(&["FileAlreadyExists"]) => Ok(()),
            made => made,
        }
    }

    /// Makes a directory in it; fails with FileAlreadyExists where there is one.
    pub(super) fn make_inner(&self, name: &str) -> Result<(), Failure> {
        self.make_directory(&self.path(name))
    }

    fn make_directory(&self, path: &str) -> Result<(), Failure> {
        let call = self.session.services.files.call("MakeDirectory").leaf("name", path);
        let call = call.with(self.datacenter.element("datacenter")).leaf("createParentDirectories", false);
        self.session.call(&call).map(drop)
    }

    /// The names in the directory; none where there is no such directory.
    pub(super) fn list(&self) -> Result<Vec<String>, Failure> {
        self.list_at(self.whole())
    }

    /// The names in a directory in it.
    pub(super) fn list_in(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.list_at(self.path(name))
    }

    fn list_at(&self, path: String) -> Result<Vec<String>, Failure> {
        let specification = Element::new("searchSpec").leaf("matchPattern", "*");
        let call = self.browser.call("SearchDatastore_Task").leaf("datastorePath", path).with(specification);
        match self.session.task(&call) {
            Ok(Some(found)) => {
                Ok(found.all("file").filter_map(|file| file.text_of("path").map(str::to_owned)).collect())
            }
            Ok(None) => Ok(Vec::new()),
            Err(failure) if failure.is(&["FileNotFound"]) => Ok(Vec::new()),
            Err(failure) => Err(failure),
        }
    }

    /// Removes a file or a directory with all that is in it; one that is not there is gone already.
    pub(super) fn delete(&self, file: &str) -> Result<(), Failure> {
        self.delete_at(&self.path(file))
    }

    /// The same for any path of the datastore: what is left of a carrier.
    pub(super) fn delete_at(&self, path: &str) -> Result<(), Failure> {
        let call = self.session.services.files.call("DeleteDatastoreFile_Task").leaf("name", path);
        gone(self.session.task(&call.with(self.datacenter.element("datacenter"))))
    }

    /// Removes the directory, if nothing is left in it.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        if self.list()?.is_empty() { self.delete_at(&self.whole()) } else { Ok(()) }
    }

    /// Gives a file another's name, whose own is gone then.
    fn rename_over(&self, from: &str, to: &str) -> Result<(), Failure> {
        let call = self.session.services.files.call("MoveDatastoreFile_Task");
        let call = call.leaf("sourceName", self.path(from)).with(self.datacenter.element("sourceDatacenter"));
        let call = call.leaf("destinationName", self.path(to)).with(self.datacenter.element("destinationDatacenter"));
        self.session.task(&call.leaf("force", true)).map(drop)
    }

    /// Makes an empty disk that grows; a disk that is there stays.
    pub(super) fn create_disk(&self, file: &str, size: ByteSize) -> Result<(), Failure> {
        let specification = Element::typed("spec", "FileBackedVirtualDiskSpec")
            .leaf("diskType", "thin")
            // Of the descriptor only: what it hangs on is the machine's matter.
            .leaf("adapterType", "lsiLogic")
            .leaf("capacityKb", size.bytes() >> 10);
        let call = self.session.services.disks.call("CreateVirtualDisk_Task").leaf("name", self.path(file));
        match self.session.task(&call.with(self.datacenter.element("datacenter")).with(specification)) {
            Err(failure) if failure.is(&["FileAlreadyExists"]) => Ok(()),
            made => made.map(drop),
        }
    }

    /// Brings a disk that no machine has from elsewhere in the datastore.
    pub(super) fn take_disk(&self, from: &str, file: &str) -> Result<(), Failure> {
        let call = self.session.services.disks.call("MoveVirtualDisk_Task");
        let call = call.leaf("sourceName", from).with(self.datacenter.element("sourceDatacenter"));
        let call = call.leaf("destName", self.path(file)).with(self.datacenter.element("destDatacenter"));
        self.session.task(&call.leaf("force", false)).map(drop)
    }

    /// Removes a disk; also what is left of one whose removal was cut off.
    pub(super) fn delete_disk(&self, file: &str) -> Result<(), Failure> {
        let call = self.session.services.disks.call("DeleteVirtualDisk_Task").leaf("name", self.path(file));
        match self.session.task(&call.with(self.datacenter.element("datacenter"))) {
            Err(failure) if failure.is(&["FileNotFound"]) => {
                let extent = file.replace(".vmdk", "-flat.vmdk");
                let left = self.list()?;
                left.iter().filter(|left| **left == file || **left == extent).try_for_each(|left| self.delete(left))
            }
            deleted => deleted.map(drop),
        }
    }

    /// Where a file is by HTTP.
    fn url(&self, file: &str) -> Result<Url, DeployError> {
        let mut url = self.session.url().clone();
        url.set_query(None);
        url.path_segments_mut()
            .map_err(|()| DeployError::new(Kind::Settings, "deploy.vsphere.url can have no path"))?
            .clear()
            .push("folder")
            .push(&self.directory)
            .extend(file.split('/'));
        url.query_pairs_mut().append_pair("dcPath", &self.datacenter_path).append_pair("dsName", &self.datastore);
        Ok(url)
    }

    fn send(
        &self,
        method: Method,
        file: &str,
        body: Option<(Body, u64)>,
        patience: Duration,
    ) -> Result<reqwest::blocking::Response, DeployError> {
        let mut request = self.session.request(method, self.url(file)?)?.timeout(patience);
        if let Some((body, length)) = body {
            request = request.header(CONTENT_LENGTH, length).body(body);
        }
        request.send().map_err(|error| tls::failure(&error, &self.session.host()))
    }

    /// Writes a file, over one that is there.
    pub(super) fn put(&self, file: &str, bytes: &[u8]) -> Result<(), DeployError> {
        self.put_within(file, bytes, TRANSFER)
    }

    /// The same, in so much time or not at all, as far as this side knows.
    pub(super) fn put_within(&self, file: &str, bytes: &[u8], patience: Duration) -> Result<(), DeployError> {
        let length = bytes.len() as u64;
        let body = Body::sized(Cursor::new(Zeroizing::new(bytes.to_vec())), length);
        self.sent(file, (body, length), patience)
    }

    /// Overwrites a file with zeros.
    fn put_zeros(&self, file: &str, length: u64) -> Result<(), DeployError> {
        self.sent(file, (Body::sized(std::io::repeat(0).take(length), length), length), TRANSFER)
    }

    fn sent(&self, file: &str, body: (Body, u64), patience: Duration) -> Result<(), DeployError> {
        let response = self.send(Method::PUT, file, Some(body), patience)?;
        match response.status().as_u16() {
            200 | 201 | 204 => Ok(()),
            status => Err(status_failure(status, &self.url(file)?, &self.session.host())),
        }
    }

    /// Writes a file beside, then gives it its name: it is whole, or the old one.
    pub(super) fn replace(&self, file: &str, bytes: &[u8]) -> Result<(), DeployError> {
        let aside = format!("{file}.new");
        self.put(&aside, bytes)?;
        self.rename_over(&aside, file)?;
        Ok(())
    }

    /// A file's bytes, if it is there.
    pub(super) fn get(&self, file: &str, longest: usize) -> Result<Option<Vec<u8>>, DeployError> {
        let response = self.send(Method::GET, file, None, TRANSFER)?;
        match response.status().as_u16() {
            200 => bounded(response, longest, &self.session.host()).map(Some),
            404 => Ok(None),
            status => Err(status_failure(status, &self.url(file)?, &self.session.host())),
        }
    }

    /// Overwrites a file with zeros and removes it; one that is not there is gone already.
    pub(super) fn wipe(&self, file: &str) -> Result<(), DeployError> {
        let response = self.send(Method::HEAD, file, None, TRANSFER)?;
        let length = match response.status().as_u16() {
            404 => return Ok(()),
            200 => response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok()),
            status => return Err(status_failure(status, &self.url(file)?, &self.session.host())),
        };
        const LONGEST: u64 = 64 << 20;
        // A server that does not say how long it is would have to be read; the media that are written here are below this.
        self.put_zeros(file, length.unwrap_or(1 << 20).min(LONGEST))?;
        self.delete(file)?;
        Ok(())
    }
}

fn gone(result: Result<Option<Element>, Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.is(&["FileNotFound"]) => Ok(()),
        result => result.map(drop),
    }
}
