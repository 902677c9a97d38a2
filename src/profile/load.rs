//! Reading a profile with everything that it names: imports, nodes.toml, files.

use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::advice;
use super::check::{self, Findings};
use super::decode::{self, beside, tidy};
use super::fault::{Fault, Faults, Notes, Warnings};
use super::installers::{self, Inherited};
use super::nodes::Surroundings;
use super::options::{NODES_SHAPE, PROFILE_SHAPE, Shape};
use super::reader::{At, Decoding, Section};
use super::secrets;
use super::source::{Sources, Span};
use super::value::{self, Table, Value, ValueKind};
use super::word::{FilePath, Name};
use super::{DistributionName, Inventory, Profile, bios, control, deploy, network, nodes};
use crate::vocab::Digest;

/// Imports of imports: deeper nesting is a mistake.
const DEEPEST: usize = 16;
/// In bytes; a profile is written by hand, and a file for the image is configuration.
const LARGEST_FILE: u64 = 16 << 20;

/// A profile that was found sound.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub profile: Profile,
    /// Digest of what the profile means, defaults included: two texts that mean the same have the same one.
    pub digest: Digest,
    /// Every TOML file that was read: the profile first, then imports, then nodes.toml.
    pub files: Vec<PathBuf>,
    pub warnings: Warnings,
    /// What is worth knowing and nothing wrong.
    pub notes: Notes,
}

/// How files are read: from the disk, or from memory in tests.
pub(super) trait Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Size of a regular file in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Opening a pipe would wait for somebody who writes into it.
        let file = std::fs::File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > LARGEST_FILE {
            true => Err(io::Error::other("it is larger than 16 MiB")),
            false => Ok(bytes),
        }
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let metadata = std::fs::metadata(path)?;
        match metadata.is_file() {
            true => Ok(metadata.len()),
            false => Err(io::Error::other("it is not a regular file")),
        }
    }
}

/// Loads a profile, its imports and its nodes.
///
/// # Errors
/// Every fault of all of these files at once.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    load_from(&Disk, path, &mut Decoding::default())
}

/// Loads nodes alone, where the profile that they belong to is not at hand: what a node says of the profile is not checked.
///
/// # Errors
/// Every fault of the file.
pub fn load_nodes(path: &Path) -> Result<(Inventory, Warnings), Faults> {
    let mut loader = Loader { missing: "write the path to a nodes.toml", ..Loader::new(&Disk) };
    let mut cx = Decoding::default();
    let read = loader.read(&tidy(path), None, &NODES_SHAPE);
    let Loader { sources, mut faults, partial, .. } = loader;
    cx.partial = partial;
    let around = Surroundings {
        network: &Default::default(),
        hostname: None,
        distribution: None,
        installers: &Default::default(),
        bios: &Default::default(),
        partial: true,
        profile: Span::new(0, 0..0),
    };
    let root = read.as_ref().map(|(file, table)| Section::root(table, Span::new(*file, 0..0)));
    let inventory = nodes::inventory(&mut cx, root.as_ref(), &around);
    faults.append(&mut cx.faults);
    match faults.is_empty() {
        true => Ok((inventory, Warnings::new(cx.warnings, sources))),
        false => Err(Faults::new(faults, sources).with_warnings(cx.warnings)),
    }
}

pub(super) fn load_from(files: &dyn Files, path: &Path, cx: &mut Decoding) -> Result<Loaded, Faults> {
    let mut loader = Loader::new(files);
    let profile = loader.profile(path, cx);
    let Loader { sources, mut faults, .. } = loader;
    faults.append(&mut cx.faults);
    match profile {
        Some(profile) if faults.is_empty() => {
            let digest = digest(&profile);
            let files = sources.paths().map(Path::to_owned).collect();
            let warnings = Warnings::new(std::mem::take(&mut cx.warnings), sources.clone());
            let notes = Notes::new(std::mem::take(&mut cx.notes), sources);
            Ok(Loaded { profile, digest, files, warnings, notes })
        }
        _ => {
            if faults.is_empty() {
                faults.push(Fault::new("the profile is not sound, and provbuild cannot say why: please report it"));
            }
            Err(Faults::new(faults, sources).with_warnings(std::mem::take(&mut cx.warnings)))
        }
    }
}

fn digest(profile: &Profile) -> Digest {
    let json = serde_json::to_vec(profile).unwrap_or_else(|error| panic!("a profile is plain data: {error}"));
    Digest::of(&json)
}

struct Loader<'a> {
    files: &'a dyn Files,
    sources: Sources,
    faults: Vec<Fault>,
    /// A file could not be read or parsed in full.
    partial: bool,
    /// Files read by import: each counts once, however many import it.
    seen: Vec<PathBuf>,
    /// What to do where the first file is not there.
    missing: &'static str,
}

/// What could not be read or parsed in full.
#[derive(Debug, Clone, Copy)]
struct Partial {
    profile: bool,
    nodes: bool,
}

impl<'a> Loader<'a> {
    fn new(files: &'a dyn Files) -> Self {
        Loader {
            files,
            sources: Sources::default(),
            faults: Vec::new(),
            partial: false,
            seen: Vec::new(),
            missing: "`provbuild init NAME` writes a commented profile to start from",
        }
    }

    fn profile(&mut self, path: &Path, cx: &mut Decoding) -> Option<Profile> {
        let path = tidy(path);
        self.seen.push(path.clone());
        let (file, table) = self.read(&path, None, &PROFILE_SHAPE)?;
        let top = Span::new(file, 0..0);
        let merged = self.with_imports(file, table, &mut vec![path.clone()]);
        let root = Section::root(&merged, top);
        root.words::<FilePath>(cx, "imports");
        let nodes_path = root.word::<FilePath>(cx, "nodes");
        let profile = std::mem::take(&mut self.partial);
        let nodes = match nodes_path {
            Some(at) => {
                let nodes_path = beside(self.sources.path(at.span.file), &at.value.0);
                self.read(&nodes_path, Some(at.span), &NODES_SHAPE)
            }
            None if root.key("nodes").is_some() => None,
            None => {
                let nodes_path = beside(&path, "nodes.toml");
                match self.files.read(&nodes_path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    _ => self.read(&nodes_path, None, &NODES_SHAPE),
                }
            }
        };
        let partial = Partial { profile, nodes: self.partial };
        self.decode(cx, &root, nodes.as_ref(), partial)
    }

    fn decode(
        &self,
        cx: &mut Decoding,
        root: &Section<'_>,
        nodes: Option<&(usize, Table)>,
        partial: Partial,
    ) -> Option<Profile> {
        cx.partial = partial.profile;
        let name = root.section("appliance").word::<Name>(cx, "name");
        let name_text = name.as_ref().map(|at| at.value.0.as_str());
        let appliance = decode::appliance(cx, root, name_text);
        let mut distribution = decode::distribution(cx, root, &|file, name| beside(self.sources.path(file), name));
        let ssh_port = appliance.as_ref().map(|appliance| appliance.ssh.port);
        let network = network::network(cx, root, name_text, ssh_port);
        let files = decode::files(cx, root, &|file, name| {
            let path = beside(self.sources.path(file), name);
            self.files.read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
        });
        let resolve = |file, name: &str| beside(self.sources.path(file), name);
        let size = |path: &Path| self.files.size(path);
        let inherited = Inherited { appliance: appliance.as_ref(), resolve: &resolve, size: &size };
        let (installers, facts) = installers::installers(cx, root, &inherited);
        if let Some(distribution) = &mut distribution {
            installers::add_packages(cx, distribution, &installers, &facts);
        }
        let outputs = decode::outputs(cx, root);
        let control = control::control(cx, root);
        let (bios, bios_facts) = bios::sets(cx, root);
        let sum = bios::archive(cx, root, &resolve, &size);
        let deploy = deploy::deploy(cx, root, &outputs, &resolve);
        let place = root.section("appliance");
        // What is missing was said above.
        let mut again = Decoding { partial: true, ..Decoding::default() };
        let around = Surroundings {
            network: &network,
            distribution: root.section("distribution").word::<DistributionName>(&mut again, "name"),
            hostname: appliance.as_ref().map(|appliance| appliance.hostname.as_str()),
            installers: &facts,
            bios: &bios_facts,
            partial: partial.profile,
            profile: place.key("hostname").or(place.key("name")).unwrap_or(place.span),
        };
        let nodes = nodes.map(|(file, table)| Section::root(table, Span::new(*file, 0..0)));
        cx.partial = partial.nodes;
        let inventory = nodes::inventory(cx, nodes.as_ref(), &around);
        Some(Profile {
            name: name?.value.0,
            appliance: appliance?,
            distribution: distribution?,
            network: network.network?,
            installers,
            outputs,
            files,
            inventory,
            control: control?,
            bios,
            sum,
            deploy: deploy?,
        })
    }

    /// Reads, parses and checks one file. `from`: where it is named; a failure to read it is a fault there.
    fn read(&mut self, path: &Path, from: Option<Span>, shape: &Shape) -> Option<(usize, Table)> {
        let fault = |message: String| match from {
            Some(span) => Fault::at(span, message),
            None => Fault::new(message),
        };
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let fault = fault(format!("{} cannot be read: {error}", path.display()));
                let missing = error.kind() == io::ErrorKind::NotFound;
                let help = match from {
                    Some(_) => "the path is relative to the file that names it",
                    None => self.missing,
                };
                self.faults.push(if missing { fault.help(help) } else { fault });
                self.partial = true;
                return None;
            }
        };
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
                self.faults.push(fault(format!("{}:{}: the text is not UTF-8", path.display(), line + 1)));
                self.partial = true;
                return None;
            }
        };
        let (mut table, syntax) = {
            let file = self.sources.len();
            value::parse(file, &text, |message, at, line| advice::syntax(message, at, line, shape))
        };
        let file = self.sources.add(path.to_owned(), text);
        let Findings { faults, hidden } = check::check(&mut table, shape);
        hidden.into_iter().for_each(|span| self.sources.hide(span));
        if !syntax.is_empty() {
            secrets::in_broken_text(file, self.sources.text(file)).into_iter().for_each(|span| self.sources.hide(span));
        }
        // A line that could not be parsed has one fault: what was recovered of it may be nonsense.
        let line = |fault: &Fault| fault.span().map(|span| self.sources.line(span.file, span.start));
        let broken: Vec<_> = syntax.iter().map(line).collect();
        self.faults.extend(faults.into_iter().filter(|fault| !broken.contains(&line(fault))));
        self.partial |= !syntax.is_empty();
        self.faults.extend(syntax);
        Some((file, table))
    }

    /// Reads what a file imports and lays the file over it. `chain`: the files whose imports led here.
    fn with_imports(&mut self, file: usize, table: Table, chain: &mut Vec<PathBuf>) -> Table {
        let imports = match table.entries.get("imports").map(|entry| &entry.value) {
            Some(Value { kind: ValueKind::List { items, .. }, .. }) => items.clone(),
            _ => Vec::new(),
        };
        let mut base = Table::default();
        for import in imports {
            let ValueKind::Text(name) = &import.kind else { continue };
            let at = At { value: name, span: import.span };
            let path = beside(self.sources.path(file), at.value);
            if let Some(position) = chain.iter().position(|earlier| *earlier == path) {
                let names: Vec<_> = chain[position..].iter().chain([&path]).map(|p| p.display().to_string()).collect();
                let fault = Fault::at(at.span, "imports run in a circle");
                self.faults.push(fault.help(format!("remove one of these imports: {}", names.join(" -> "))));
                continue;
            }
            if self.seen.contains(&path) {
                continue;
            }
            self.seen.push(path.clone());
            if chain.len() >= DEEPEST {
                self.faults.push(Fault::at(at.span, format!("imports are nested more than {DEEPEST} deep")));
                continue;
            }
            if let Some((file, table)) = self.read(&path, Some(at.span), &PROFILE_SHAPE) {
                chain.push(path);
                let table = self.with_imports(file, table, chain);
                chain.pop();
                base = value::merge(base, table);
            }
        }
        value::merge(base, table)
    }
}
