//! What programs of the target system may not do, although they are root inside.
//!
//! Maintainer scripts own the tree that they configure and nothing else: the capability bounding set is cut down to what
//! dpkg's work needs, and system calls that reach the kernel's larger surfaces are refused. The fsync family succeeds
//! without doing anything: the tree is read back within the minute and is never the only copy of anything.

use std::io;

use nix::libc::{self, c_long};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// Capabilities that installing packages needs (capabilities(7)).
const KEPT: [u32; 11] = [
    0,  // CHOWN
    1,  // DAC_OVERRIDE
    2,  // DAC_READ_SEARCH
    3,  // FOWNER
    4,  // FSETID
    5,  // KILL
    6,  // SETGID
    7,  // SETUID
    8,  // SETPCAP
    18, // SYS_CHROOT
    31, // SETFCAP
];
const LAST_CAPABILITY: u32 = 40;

const PRETENDED: [c_long; 6] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
    libc::SYS_msync,
];

const REFUSED: [c_long; 33] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
];

/// Compiled filters, ready to be applied between fork and exec.
pub struct Restrictions {
    filters: Vec<BpfProgram>,
}

impl Restrictions {
    pub fn new() -> io::Result<Self> {
        let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let filter = |calls: &[c_long], errno: i32| -> io::Result<BpfProgram> {
            let rules = calls.iter().map(|call| (*call, vec![])).collect();
            SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)
                .and_then(BpfProgram::try_from)
                .map_err(io::Error::other)
        };
        Ok(Restrictions { filters: vec![filter(&PRETENDED, 0)?, filter(&REFUSED, libc::EPERM)?] })
    }

    /// Restricts the calling process for good. Only plain system calls: may run between fork and exec.
    pub fn apply(&self) -> io::Result<()> {
        // Whatever provbuild inherited or holds open: the program gets its standard streams and nothing else.
        // SAFETY: close_range with this flag only marks descriptors.
        if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        for capability in (0..=LAST_CAPABILITY).filter(|capability| !KEPT.contains(capability)) {
            // SAFETY: prctl with these arguments touches no memory. A kernel that does not know the capability says EINVAL.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::EINVAL) {
                    return Err(error);
                }
            }
        }
        self.filters.iter().try_for_each(|filter| apply_filter(filter).map_err(io::Error::other))
    }
}
