//! The way in: runs in the child, before it has any thread.

use std::fs;
use std::io::{self, BufRead, Write};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Uid, chdir, fork, pivot_root, setgroups, sethostname, setresgid, setresuid, setsid,
};

use super::Message;

pub(super) const UNSHARE_USER: &str = "create a user namespace";

/// Where the new root is mounted before it becomes `/`; any directory of the host that always exists.
const STAGING: &str = "/tmp";
/// Device files that programs of the target need, bound from the host.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Directories that hold something of the sandbox and nothing of the tree, with the mode that Debian's base-files gives them.
pub(super) const MOUNT_POINTS: [(&str, u32); 4] =
    [("/dev", 0o755), ("/proc", 0o555), ("/run", 0o755), ("/tmp", 0o1777)];

/// Proof of being inside, and the door out of the helper mounts.
pub struct Inside(());

impl Inside {
    /// Tells the parent something.
    pub fn say(&self, message: &Message) -> io::Result<()> {
        say(message)
    }

    /// Removes /dev, /proc, /run and /tmp of the sandbox, so that the tree's own directories show.
    pub fn unmount_helpers(&self) -> io::Result<()> {
        MOUNT_POINTS.iter().try_for_each(|(path, _)| Ok(umount2(*path, MntFlags::MNT_DETACH)?))
    }

    /// Ends every other process of the sandbox.
    pub fn end_others(&self) {
        // SAFETY: as pid 1 of its own pid namespace, the process reaches only its descendants. ESRCH: there are none.
        unsafe { nix::libc::kill(-1, nix::libc::SIGKILL) };
    }
}

fn say(message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

/// Enters the namespaces and a root of `size_limit` bytes, runs `work` there as pid 1, and gives the exit code.
///
/// # Errors
/// None: whatever fails is told to the parent as [`Message::Setup`], and the code is 1.
///
/// # Safety of use
/// The process must have a single thread. Files that `work` needs from the host must be open already.
pub fn enter(size_limit: u64, work: impl FnOnce(&Inside)) -> i32 {
    match run(size_limit, work) {
        Ok(code) => code,
        Err((step, error)) => give_up(step, &error),
    }
}

/// Ends a sandbox that has not been entered: tells the parent why, and gives the exit code.
pub fn give_up(step: &str, error: &io::Error) -> i32 {
    let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
    match say(&Message::Setup { step: step.to_owned(), errno }) {
        Ok(()) => 1,
        Err(_) => 2,
    }
}

type Step = (&'static str, io::Error);

/// Names a step that may fail.
fn step<T>(name: &'static str, result: nix::Result<T>) -> Result<T, Step> {
    result.map_err(|errno| (name, errno.into()))
}

fn run(size_limit: u64, work: impl FnOnce(&Inside)) -> Result<i32, Step> {
    step(UNSHARE_USER, unshare(CloneFlags::CLONE_NEWUSER))?;
    wait_for_maps().map_err(|error| ("wait for the id maps", error))?;
    step("become root inside", setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)))?;
    step("become root inside", setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)))?;
    step("drop supplementary groups", setgroups(&[]))?;
    // Without a controlling terminal nothing inside can type into the user's shell or read from it.
    step("leave the terminal", setsid())?;
    die_with_parent().map_err(|error| ("tie the sandbox to its parent", error))?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    step("create namespaces", unshare(namespaces))?;
    // SAFETY: the process has one thread, so the child may go on as an ordinary program.
    match step("fork", unsafe { fork() })? {
        ForkResult::Parent { child } => match step("wait", waitpid(child, None))? {
            WaitStatus::Exited(_, code) => Ok(code),
            _ => Ok(1),
        },
        ForkResult::Child => {
            let code = match prepare_root(size_limit) {
                Ok(()) => {
                    work(&Inside(()));
                    0
                }
                Err((step, error)) => give_up(step, &error),
            };
            std::process::exit(code)
        }
    }
}

fn wait_for_maps() -> io::Result<()> {
    say(&Message::MapMe)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    match line.trim_end() {
        "mapped" => Ok(()),
        _ => Err(io::Error::other("the parent gave up")),
    }
}

fn die_with_parent() -> io::Result<()> {
    Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
}

fn prepare_root(size_limit: u64) -> Result<(), Step> {
    die_with_parent().map_err(|error| ("tie the sandbox to its parent", error))?;
    step("set no_new_privs", nix::sys::prctl::set_no_new_privs())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    step("name the host", sethostname("localhost"))?;
    let none: Option<&str> = None;
    step("make mounts private", mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))?;
    let options = format!("mode=0755,size={size_limit},nr_inodes=2000000");
    step("mount the root", mount(Some("provbuild"), STAGING, Some("tmpfs"), MsFlags::MS_NODEV, Some(&*options)))?;
    let inside = |path: &str| format!("{STAGING}{path}");
    for (path, mode) in MOUNT_POINTS {
        make_directory(&inside(path), mode).map_err(|error| ("make a mount point", error))?;
    }
    let tmpfs = |path: &str, options: &str| {
        mount(Some("provbuild"), &*inside(path), Some("tmpfs"), MsFlags::MS_NOSUID, Some(options))
    };
    step("mount /dev", tmpfs("/dev", "mode=0755,size=64k"))?;
    step("mount /run", tmpfs("/run", "mode=0755,size=256m"))?;
    step("mount /tmp", tmpfs("/tmp", "mode=1777,size=1g"))?;
    for name in DEVICES {
        let (host, here) = (format!("/dev/{name}"), inside(&format!("/dev/{name}")));
        fs::write(&here, "").map_err(|error| ("make a device file", error))?;
        step("bind a device", mount(Some(&*host), &*here, none, MsFlags::MS_BIND, none))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(target, inside(&format!("/dev/{name}")))
            .map_err(|error| ("make a device link", error))?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mount /proc", mount(Some("proc"), &*inside("/proc"), Some("proc"), flags, none))?;
    step("change into the root", chdir(STAGING))?;
    step("pivot_root", pivot_root(".", "."))?;
    step("leave the host's root", umount2(".", MntFlags::MNT_DETACH))?;
    step("change into the root", chdir("/"))?;
    // A namespace of its own would give a script back the capabilities that `Restrictions` takes.
    fs::write("/proc/sys/user/max_user_namespaces", "0").map_err(|error| ("forbid further user namespaces", error))
}

fn make_directory(path: &str, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = Path::new(path);
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
