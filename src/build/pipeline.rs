//! The build from profile to `out/NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::BuildError;
use super::keys::Keys;
use super::locking::{self, LockOutcome, Locked};
use super::out::{OutRoot, Stamp};
use super::{daemon, media, outputs};
use crate::fetch::{Fetcher, FileFetcher, HostApt, Mirrors, Network, Store};
use crate::lock::LockDiff;
use crate::manifest::Manifest;
use crate::media::sum;
use crate::profile::{self, Loaded, Profile};
use crate::rootfs::{self, PackageFile};
use crate::tree::Pack;
use crate::vocab::{Digest, Epoch, Event, Progress, Stage};

/// Where a build reads and writes, and what it may do. The caller fills in what comes from the environment.
pub struct Build<'a> {
    pub profile: PathBuf,
    /// The store's directory.
    pub store: PathBuf,
    /// Directory that receives `NAME/`.
    pub out: PathBuf,
    /// provbuild itself, for the sandbox.
    pub program: PathBuf,
    /// Transfers at once.
    pub jobs: usize,
    /// How to reach the archives, or that they must not be.
    pub network: Network,
    /// Wall clock, for the validity of signatures.
    pub now: Epoch,
    /// apt's configuration of this host.
    pub host_apt: Option<HostApt>,
    /// Bytes that the tree may take while it is made.
    pub tree_limit: u64,
    /// Host names of the nodes that the boot tree beside the image installs.
    pub armed: BTreeSet<String>,
    /// Where the appliance's daemon may lie, the best place first.
    pub daemon: Vec<PathBuf>,
    pub progress: &'a dyn Progress,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    pub directory: PathBuf,
    pub manifest: Manifest,
    /// Nothing had to be done.
    pub unchanged: bool,
}

/// What a build would do, stage by stage.
#[derive(Debug)]
pub struct Plan {
    pub stages: Vec<StagePlan>,
}

#[derive(Debug)]
pub struct StagePlan {
    pub stage: Stage,
    pub cached: bool,
    pub why: String,
}

/// Runs a stage between its two events.
pub(super) fn timed<T, E>(progress: &dyn Progress, stage: Stage, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    progress.event(Event::StageStarted { stage });
    let start = Instant::now();
    let result = work()?;
    progress.event(Event::StageFinished { stage, cached: false, seconds: start.elapsed().as_secs_f64() });
    Ok(result)
}

fn cached(progress: &dyn Progress, stage: Stage) {
    progress.event(Event::StageFinished { stage, cached: true, seconds: 0.0 });
}

impl Build<'_> {
    pub(super) fn fetcher<'s>(&'s self, store: &'s Store, profile: &Profile) -> Fetcher<'s> {
        let mirrors = Mirrors::new(&profile.distribution, self.host_apt.as_ref());
        Fetcher::new(store, mirrors, self.network.clone(), self.progress, self.jobs)
    }

    fn load(&self) -> Result<Loaded, BuildError> {
        profile::load(&self.profile).map_err(BuildError::Profile)
    }

    /// Resolves the profile against the archive as it is now and writes the lock.
    pub fn lock(&self) -> Result<LockOutcome, BuildError> {
        let loaded = self.load()?;
        let path = locking::path_of(&self.profile);
        // A lock that cannot be read is replaced: that is what the command is for.
        let previous = locking::read(&path).ok().flatten().map(|locked| locked.lock);
        let store = Store::open(&self.store)?;
        let locked = timed(self.progress, Stage::Lock, || {
            locking::write(self, &store, &path, &loaded.profile, previous.as_ref())
        })?;
        let diff = previous.map(|previous| LockDiff::between(&previous, &locked.lock));
        Ok(LockOutcome { path, packages: locked.lock.packages.len(), diff })
    }

    /// Everything of the store that a build of this profile reads, as its lock stands.
    pub fn needs(&self) -> Result<Vec<Digest>, BuildError> {
        let Loaded { profile, digest, .. } = self.load()?;
        let Some(locked) = locking::covering(&locking::path_of(&self.profile), &profile)? else {
            return Ok(Vec::new());
        };
        let keys = Keys::of(&profile.name, &digest, &locked.lock, &locked.digest, &self.armed, None);
        let packages = locked.lock.packages.iter().map(|package| package.sha256);
        let media = profile.installers.values().filter_map(|installer| Some(installer.medium.as_ref()?.sha256));
        let sum = profile.sum.as_ref().map(sum::store_key);
        Ok(packages.chain(media).chain(sum).chain([keys.rootfs]).collect())
    }

    /// What `build` would do now.
    pub fn plan(&self) -> Result<Plan, BuildError> {
        let Loaded { profile, digest, .. } = self.load()?;
        let armed = media::armed(&profile, &self.armed)?;
        let path = locking::path_of(&self.profile);
        let plan = |stage, cached, why: String| StagePlan { stage, cached, why };
        let Some(locked) = locking::covering(&path, &profile)? else {
            let all = [Stage::Lock, Stage::Fetch, Stage::Rootfs, Stage::Render, Stage::Image];
            let why = format!("{} does not exist yet", path.display());
            return Ok(Plan { stages: all.map(|stage| plan(stage, false, why.clone())).into() });
        };
        let daemon = daemon::read(&self.daemon, &profile)?.map(|daemon| daemon.digest);
        let keys = Keys::of(&profile.name, &digest, &locked.lock, &locked.digest, &self.armed, daemon.as_ref());
        let store = Store::open(&self.store)?;
        let packages = &locked.lock.packages;
        let missing = packages.iter().filter(|p| store.object_of_size(&p.sha256, p.size).is_none());
        let (files, bytes) = missing.fold((0, 0), |(files, bytes), p| (files + 1, bytes + p.size));
        let rootfs = store.stage_dir(&keys.rootfs).is_some();
        let directory = self.out.join(&profile.name);
        let before = Manifest::read(&directory).ok();
        let current = self.is_current(&profile, &keys);
        let why_outputs = match &before {
            _ if current => "nothing changed".to_owned(),
            None => format!("{} holds no finished build", directory.display()),
            Some(before) if before.inputs.lock != locked.digest => "the lock changed".to_owned(),
            Some(before) if before.inputs.profile != digest => "the profile or the nodes changed".to_owned(),
            Some(before) if before.daemon.as_ref().map(|record| record.sha256) != daemon => {
                "the appliance's daemon changed".to_owned()
            }
            Some(before) if before.tool.source != super::CODE => "provbuild itself changed".to_owned(),
            Some(_) => "a file of the last build was touched".to_owned(),
        };
        let fetched = files == 0 || rootfs;
        let media = media::needed(&profile, &armed).into_iter().map(|(name, medium)| {
            let (cached, why) = match store.object(&medium.sha256) {
                Some(_) => (true, "is in the store"),
                None => (false, "is to be fetched"),
            };
            plan(Stage::Media, cached, format!("the medium of installer '{name}' {why}"))
        });
        let mut stages = vec![
            plan(Stage::Lock, true, format!("{} packages in {}", packages.len(), path.display())),
            plan(
                Stage::Fetch,
                fetched,
                if fetched { "everything is in the store".into() } else { format!("{files} files, {bytes} bytes") },
            ),
            plan(
                Stage::Rootfs,
                rootfs,
                if rootfs { "the same packages were configured before".into() } else { "new package set".into() },
            ),
        ];
        stages.extend(media);
        stages.extend(profile.sum.as_ref().map(|_| {
            let why = if current { "SUM is in the image" } else { "SUM's archive is to be read and verified" };
            plan(Stage::Media, current, why.to_owned())
        }));
        stages.extend([plan(Stage::Render, current, why_outputs.clone()), plan(Stage::Image, current, why_outputs)]);
        Ok(Plan { stages })
    }

    /// Builds `out/NAME`.
    pub fn run(&self) -> Result<Built, BuildError> {
        let Loaded { profile, digest, .. } = self.load()?;
        let armed = media::armed(&profile, &self.armed)?;
        let daemon = daemon::read(&self.daemon, &profile)?;
        let daemon_digest = daemon.as_ref().map(|daemon| daemon.digest);
        let lock_path = locking::path_of(&self.profile);
        let known = locking::covering(&lock_path, &profile)?;
        if let Some(locked) = &known {
            let keys =
                Keys::of(&profile.name, &digest, &locked.lock, &locked.digest, &self.armed, daemon_digest.as_ref());
            if self.is_current(&profile, &keys) {
                let directory = self.out.join(&profile.name);
                let manifest = Manifest::read(&directory)?;
                return Ok(Built { directory, manifest, unchanged: true });
            }
        }
        let store = Store::open(&self.store)?;
        let locked = match known {
            Some(locked) => {
                cached(self.progress, Stage::Lock);
                locked
            }
            None => timed(self.progress, Stage::Lock, || locking::write(self, &store, &lock_path, &profile, None))?,
        };
        let keys = Keys::of(&profile.name, &digest, &locked.lock, &locked.digest, &self.armed, daemon_digest.as_ref());
        let pack = self.rootfs(&store, &profile, &locked, &keys)?;
        let (files, sum) = match media::wanted(&profile, &armed) || profile.sum.is_some() {
            false => (BTreeMap::new(), None),
            true => timed(self.progress, Stage::Media, || {
                // The file of this machine first: whatever is wrong with it shows before anything is fetched.
                let sum = profile.sum.as_ref().map(sum::read).transpose()?;
                let fetcher = FileFetcher::new(&store, self.network.clone(), self.progress);
                Ok::<_, BuildError>((media::prepare(&profile, &armed, &fetcher, self.now)?, sum))
            })?,
        };

        let root = OutRoot::lock(&self.out).map_err(BuildError::io)?;
        let staging = root.begin(&profile.name).map_err(BuildError::io)?;
        let inputs = outputs::Ingredients {
            profile: &profile,
            profile_digest: digest,
            locked: &locked,
            keys,
            pack: &pack,
            store: &store,
            media: &files,
            armed: &armed,
            daemon: daemon.as_ref(),
            sum: sum.as_ref(),
        };
        let manifest = outputs::write(&inputs, staging.directory(), &self.out.join(&profile.name), self.progress)?;
        let directory = staging.commit().map_err(BuildError::io)?;
        self.stamp(&profile, &manifest, &keys)?;
        Ok(Built { directory, manifest, unchanged: false })
    }

    /// The configured tree, from the store or made now.
    fn rootfs(&self, store: &Store, profile: &Profile, locked: &Locked, keys: &Keys) -> Result<Pack, BuildError> {
        if let Some(directory) = store.stage_dir(&keys.rootfs) {
            cached(self.progress, Stage::Fetch);
            cached(self.progress, Stage::Rootfs);
            return Ok(Pack::open(&directory)?);
        }
        let fetched = timed(self.progress, Stage::Fetch, || self.fetcher(store, profile).packages(&locked.lock))?;
        let packages: Vec<PackageFile> =
            fetched.into_iter().map(|package| PackageFile { name: package.locked.name, path: package.path }).collect();
        let log = store.root().join(format!("rootfs-{}-{}.log", profile.name, keys.rootfs.short()));
        let directory = timed(self.progress, Stage::Rootfs, || {
            store.stage(&keys.rootfs, |directory| {
                let epoch = locked.lock.epoch;
                rootfs::build(&self.program, &packages, epoch, self.tree_limit, directory, &log, self.progress)
                    .map_err(BuildError::from)
            })
        })?;
        Ok(Pack::open(&directory.0)?)
    }

    fn stamp_path(&self, profile: &Profile) -> PathBuf {
        self.out.join(format!(".{}.stamp", profile.name))
    }

    /// Whether `out/NAME` is the finished result for these keys, untouched since.
    fn is_current(&self, profile: &Profile, keys: &Keys) -> bool {
        let directory = self.out.join(&profile.name);
        let stamp =
            fs::read(self.stamp_path(profile)).ok().and_then(|text| serde_json::from_slice::<Stamp>(&text).ok());
        let now =
            Manifest::read(&directory).ok().and_then(|manifest| Stamp::of(&directory, &manifest, keys.outputs).ok());
        stamp.is_some() && stamp == now
    }

    fn stamp(&self, profile: &Profile, manifest: &Manifest, keys: &Keys) -> Result<(), BuildError> {
        let path = self.stamp_path(profile);
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { path, source }
        };
        let stamp = Stamp::of(&self.out.join(&profile.name), manifest, keys.outputs).map_err(fault(&path))?;
        let text = serde_json::to_vec(&stamp).map_err(|error| fault(&path)(error.into()))?;
        // A torn stamp does not parse, and the next build runs once more: no need to write it aside.
        fs::write(&path, text).map_err(fault(&path))
    }
}
