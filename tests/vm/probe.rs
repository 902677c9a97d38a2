//! What tells how far a machine came: an initrd that shows the kernel's command line, and disks that show that they were
//! booted. All of it is made here, byte for byte the same each time.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Around the command line on the serial console.
pub(crate) const BEGIN: &str = "COMMAND-LINE-BEGIN ";
pub(crate) const END: &str = " COMMAND-LINE-END";
/// What a machine shows that booted its own disk.
pub(crate) const OWN_DISK: &str = "BOOTED-ITS-OWN-DISK";

/// Without a C library: nothing else has to be in the initrd. System calls by number (x86-64): 0 read, 1 write, 2 open,
/// 34 pause, 165 mount, 169 reboot.
const INIT: &str = r#"
static long call(long number, long a, long b, long c, long d) {
    long result;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                     : "rcx", "r11", "memory");
    return result;
}
static char line[4096];
static void say(long out, const char *text) {
    long length = 0;
    while (text[length]) length++;
    call(1, out, (long)text, length, 0);
}
void _start(void) {
    long out = call(2, (long)"/dev/ttyS0", 1, 0, 0);
    call(165, (long)"proc", (long)"/proc", (long)"proc", 0);
    long length = call(0, call(2, (long)"/proc/cmdline", 0, 0, 0), (long)line, sizeof line - 1, 0);
    if (length > 0 && line[length - 1] == '\n') line[length - 1] = 0;
    say(out, "\r\n" BEGIN); say(out, line); say(out, END "\r\n");
    call(169, 0xfee1dead, 672274793, 0x4321fedc, 0);
    for (;;) call(34, 0, 0, 0, 0);
}
"#;

/// A cpio archive ("newc", as in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
pub(crate) fn initrd(directory: &Path) -> Vec<u8> {
    let (source, program) = (directory.join("init.c"), directory.join("init"));
    std::fs::write(&source, INIT).unwrap();
    let status = Command::new("cc")
        .args(["-static", "-nostdlib", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-Os", "-o"])
        .arg(&program)
        .args([format!("-DBEGIN=\"{BEGIN}\""), format!("-DEND=\"{END}\"")])
        .arg(&source)
        .status()
        .expect("cc cannot be run: install gcc");
    assert!(status.success(), "the test's init cannot be compiled");
    let init = std::fs::read(program).unwrap();

    let mut archive = Vec::new();
    let mut entry = |name: &str, mode: u32, device: (u32, u32), data: &[u8]| {
        let size = u32::try_from(data.len()).unwrap();
        let fields = [0, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, u32::try_from(name.len() + 1).unwrap(), 0];
        archive.extend_from_slice(b"070701");
        fields.iter().for_each(|field| archive.extend_from_slice(format!("{field:08x}").as_bytes()));
        for part in [format!("{name}\0").as_bytes(), data] {
            archive.extend_from_slice(part);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
    };
    entry("dev", 0o040_755, (0, 0), b"");
    entry("proc", 0o040_755, (0, 0), b"");
    entry("dev/console", 0o020_600, (5, 1), b"");
    entry("dev/ttyS0", 0o020_600, (4, 64), b"");
    entry("init", 0o100_755, (0, 0), &init);
    entry("TRAILER!!!", 0, (0, 0), b"");
    archive
}

/// A disk whose boot sector writes the marker to the first serial port.
pub(crate) fn bios_disk(directory: &Path) -> PathBuf {
    #[rustfmt::skip]
    let code = [
        0x31, 0xc0,       // xor ax, ax
        0x8e, 0xd8,       // mov ds, ax
        0xfc,             // cld
        0xbe, 0x16, 0x7c, // mov si, 0x7c16: behind this code
        0xac,             // next: lodsb
        0x84, 0xc0,       // test al, al
        0x74, 0x06,       // jz end
        0xba, 0xf8, 0x03, // mov dx, 0x3f8
        0xee,             // out dx, al
        0xeb, 0xf5,       // jmp next
        0xf4,             // end: hlt
        0xeb, 0xfd,       // jmp end
    ];
    let mut disk = vec![0; 1 << 20];
    disk[..code.len()].copy_from_slice(&code);
    disk[code.len()..][..OWN_DISK.len()].copy_from_slice(OWN_DISK.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let path = directory.join("bios.raw");
    std::fs::write(&path, disk).unwrap();
    path
}

/// A disk with an EFI system partition as an installed system has it: the distribution's shim, and the GRUB signed for it,
/// that shows the marker. Firmware with Secure Boot takes it as well.
pub(crate) fn efi_disk(directory: &Path, shim: &Path, grub: &Path) -> PathBuf {
    let path = directory.join("efi.raw");
    std::fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("MTOOLS_SKIP_CHECK", "1")
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; run scripts/install-test-tools"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let disk = path.to_str().unwrap();
    run("sgdisk", &["--new=1:2048:100351", "--typecode=1:ef00", disk]);
    let partition = format!("{disk}@@1M");
    run("mformat", &["-i", &partition, "-F", "-T", "98304", "-h", "64", "-s", "32", "::"]);
    run("mmd", &["-i", &partition, "::EFI", "::EFI/BOOT", "::grub"]);
    let configuration = directory.join("disk.cfg");
    std::fs::write(&configuration, format!("echo {OWN_DISK}\nhalt\n")).unwrap();
    for (from, to) in
        [(shim, "EFI/BOOT/BOOTX64.EFI"), (grub, "EFI/BOOT/grubx64.efi"), (&configuration, "grub/grub.cfg")]
    {
        run("mcopy", &["-i", &partition, from.to_str().unwrap(), &format!("::{to}")]);
    }
    path
}
