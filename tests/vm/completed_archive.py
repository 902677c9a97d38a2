"""A Debian archive as the mirror serves it, completed where debian-installer's own packages (udebs) are gone from it.

usage: completed_archive.py serve MIRROR FOLDER SOCKET    FOLDER/netboot.tar.gz, then the archive over HTTP on a socket
       completed_archive.py relay SOCKET PORT LOG          the same socket as a port, for a network namespace without a mirror;
                                                           what comes to the syslog port goes to LOG

debian-installer loads the rest of itself from the mirror. A mirror whose index of udebs is older than the installer's initrd,
or that keeps no udebs of the current kernel, stops every installation. For each udeb that the index names and the mirror does
not have, this makes a stand-in with the files of the ordinary package of the same source, at the same paths; the kernel's
modules come from the package of the very kernel that the initrd has. Everything else is the mirror's, byte by byte: the
signed InRelease, the packages, and the udebs that are there. Only debian-installer/binary-amd64/Packages and a Release that
names it are written anew and are unsigned: the installer must be told debian-installer/allow_unauthenticated=true.

netboot.tar.gz has kernel and initrd of the package debian-installer-13-netboot-amd64, the real ones.

What is fetched stays in FOLDER. It prints one line for each stand-in, and "ready" when it serves.
"""

import gzip
import hashlib
import http.client
import lzma
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

NETBOOT = "debian-installer-13-netboot-amd64"
# Where a udeb is missing: the ordinary packages with its files.
ORDINARY = {
    "e2fsprogs-udeb": ["e2fsprogs", "libext2fs2t64", "libss2", "libcom-err2"],
    "eject-udeb": ["eject"],
    "fdisk-udeb": ["fdisk"],
    "libfdisk1-udeb": ["libfdisk1"],
    "libmount1-udeb": ["libmount1"],
    "libsmartcols1-udeb": ["libsmartcols1"],
    "xfsprogs-udeb": ["xfsprogs"],
}
# Where a udeb of modules is missing: what it has of the kernel's (regular expressions of paths below kernel/); what they need
# comes with them.
MODULES = {
    "ata-modules": r"drivers/ata/(libata|libahci)\.ko",
    "sata-modules": r"drivers/ata/(ahci|ata_piix|ata_generic|sata_.*)\.ko",
    "cdrom-core-modules": r"drivers/(cdrom/cdrom|scsi/sr_mod)\.ko",
    "scsi-core-modules": r"drivers/scsi/(scsi_mod|sd_mod|sg)\.ko|drivers/scsi/scsi_transport_.*\.ko",
    "scsi-modules": r"drivers/(nvme/.*|scsi/virtio_scsi|scsi/vmw_pvscsi|scsi/mpt3sas/.*|scsi/megaraid/.*|block/virtio_blk)\.ko",
    "ext4-modules": r"fs/(ext4|jbd2)/.*\.ko|fs/mbcache\.ko|lib/.*crc.*\.ko|crypto/crc.*\.ko|arch/x86/crypto/crc.*\.ko",
    "fat-modules": r"fs/(fat|nls)/.*\.ko",
    "xfs-modules": r"fs/xfs/.*\.ko",
    "btrfs-modules": r"fs/btrfs/.*\.ko",
    "md-modules": r"drivers/md/(dm-.*|md-mod|raid.*|linear)\.ko",
    "crypto-dm-modules": r"drivers/md/dm-crypt\.ko",
    "loop-modules": r"drivers/block/loop\.ko",
    "isofs-modules": r"fs/isofs/.*\.ko",
    "kernel-image": r"fs/efivarfs/.*\.ko|drivers/firmware/efi/.*\.ko",
}


def stanzas(text):
    for stanza in text.split("\n\n"):
        fields, last = {}, None
        for line in stanza.splitlines():
            if line[:1] in " \t":
                fields[last] += "\n" + line
            elif ":" in line:
                last, value = line.split(":", 1)
                fields[last] = value.strip()
        if fields:
            yield fields


def installed(initrd):
    """What the initrd has: version of each udeb, and the kernel's release."""
    data = initrd.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    versions, kernel = {}, None
    at = 0
    # cpio of the kind "newc": a header of 13 hexadecimal fields, the name, the contents, each filled up to four bytes.
    while data[at:at + 6] == b"070701":
        field = lambda index: int(data[at + 6 + 8 * index:at + 14 + 8 * index], 16)
        size, name_size = field(6), field(11)
        name = data[at + 110:at + 109 + name_size].decode()
        begin = (at + 110 + name_size + 3) & ~3
        if name.lstrip("./") == "var/lib/dpkg/status":
            for fields in stanzas(data[begin:begin + size].decode()):
                versions[fields["Package"]] = fields["Version"]
        found = re.search(r"lib/modules/([^/]+)/", name)
        kernel = kernel or (found and found[1])
        if name == "TRAILER!!!":
            break
        at = (begin + size + 3) & ~3
    return versions, kernel


class Archive:
    def __init__(self, mirror, suite, folder):
        self.mirror, self.suite = mirror.rstrip("/"), suite
        self.cache, self.own, self.work = folder / "cache", folder / "own", folder / "work"
        for each in (self.cache, self.own, self.work):
            each.mkdir(parents=True, exist_ok=True)
        self.locks, self.lock = {}, threading.Lock()

    def fetch(self, path):
        """A file of the mirror's, in the cache."""
        here = self.cache / path.lstrip("/")
        with self.lock:
            lock = self.locks.setdefault(path, threading.Lock())
        with lock:
            if not here.exists():
                here.parent.mkdir(parents=True, exist_ok=True)
                part = here.with_name(here.name + ".part")
                for attempt in range(4):
                    try:
                        with urllib.request.urlopen(f"{self.mirror}/{path.lstrip('/')}", timeout=60) as answer, \
                                open(part, "wb") as out:
                            shutil.copyfileobj(answer, out)
                        break
                    except urllib.error.HTTPError as error:
                        if error.code in (403, 404, 410) or attempt == 3:
                            raise
                    except (OSError, http.client.HTTPException):
                        if attempt == 3:
                            raise
                part.rename(here)
        return here

    def has(self, path):
        if (self.cache / path).exists():
            return True
        try:
            request = urllib.request.Request(f"{self.mirror}/{path}", method="HEAD")
            return urllib.request.urlopen(request, timeout=60).status == 200
        except urllib.error.HTTPError:
            return False

    def index(self, path):
        return lzma.decompress(self.fetch(path).read_bytes()).decode()

    def unpacked(self, package):
        """The files of an ordinary package."""
        there = self.work / package["Package"]
        if not there.exists():
            part = there.with_name(there.name + ".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(["dpkg-deb", "-x", self.fetch(package["Filename"]), part], check=True)
            part.rename(there)
        return there

    def netboot(self, here):
        """debian-installer's netboot.tar.gz; gives its initrd."""
        package = next(fields for fields in stanzas(self.index(f"dists/{self.suite}/main/binary-amd64/Packages.xz"))
                       if fields["Package"] == NETBOOT)
        tree = self.unpacked(package) / "usr/lib/debian-installer/images/13/amd64/text"
        part = here.with_name(here.name + ".part")
        # The same bytes each time.
        with open(part, "wb") as file, gzip.GzipFile("", "wb", 1, file, mtime=0) as out, \
                tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name in "version.info", "debian-installer/amd64/linux", "debian-installer/amd64/initrd.gz":
                entry = tarfile.TarInfo(f"./{name}")
                entry.size = (tree / name).stat().st_size
                with open(tree / name, "rb") as data:
                    archive.addfile(entry, data)
        part.rename(here)
        return tree / "debian-installer/amd64/initrd.gz"

    def complete(self, versions, kernel):
        base = f"dists/{self.suite}/main"
        udebs = list(stanzas(self.index(f"{base}/debian-installer/binary-amd64/Packages.xz")))
        debs = {fields["Package"]: fields for fields in stanzas(self.index(f"{base}/binary-amd64/Packages.xz"))}
        kernels = {fields["Kernel-Version"] for fields in udebs if "Kernel-Version" in fields}
        if kernel not in kernels:
            # The stanzas of the newest kernel there is, with the other one's name.
            newest = max(kernels, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)])
            version = debs[f"linux-image-{kernel}"]["Version"]
            for fields in [dict(fields) for fields in udebs if fields.get("Kernel-Version") == newest]:
                own = {key: value.replace(newest, kernel) for key, value in fields.items()}
                own.update(Version=version, Filename=f"pool/stand-in/{own['Package']}_{version}_amd64.udeb")
                udebs.append(own)
        udebs = [fields for fields in udebs if fields.get("Kernel-Version", kernel) == kernel]
        with ThreadPoolExecutor(16) as pool:
            there = list(pool.map(lambda fields: self.has(fields["Filename"]), udebs))
        kept = []
        for fields, present in zip(udebs, there):
            name = fields["Package"]
            if not present:
                if name in versions:
                    # The installer has it already, and asks for it no more when the versions agree.
                    fields["Version"] = versions[name]
                elif not self.stand_in(fields, debs, kernel):
                    continue
            kept.append(fields)
        text = "\n".join("".join(f"{key}: {value}\n" for key, value in fields.items()) for fields in kept).encode()
        lines = []
        for name, data in ("Packages", text), ("Packages.gz", gzip.compress(text, mtime=0)):
            path = f"main/debian-installer/binary-amd64/{name}"
            here = self.own / f"dists/{self.suite}" / path
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_bytes(data)
            lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n")
        release = self.fetch(f"dists/{self.suite}/Release").read_text()
        head = release.split("\nMD5Sum:")[0].split("\nSHA256:")[0]
        head = re.sub(r"(?m)^Components: .*$", "Components: main", head)
        ordinary = [line + "\n" for line in release.split("\nSHA256:\n")[1].splitlines()
                    if "/binary-amd64/" in line and "debian-installer" not in line and " main/" in line]
        (self.own / f"dists/{self.suite}/Release").write_text(f"{head}\nSHA256:\n{''.join(lines)}{''.join(ordinary)}")

    def stand_in(self, fields, debs, kernel):
        """Makes a udeb of the same name; says whether it could."""
        name, tree = fields["Package"], self.work / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "DEBIAN").mkdir(parents=True)
        if name in ORDINARY:
            fields["Version"] = debs[ORDINARY[name][0]]["Version"]
            for package in ORDINARY[name]:
                shutil.copytree(self.unpacked(debs[package]), tree, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(tree / "usr/share", ignore_errors=True)
        elif fields.get("Kernel-Version") == kernel:
            group = name.removesuffix(f"-{kernel}-di")
            root = self.unpacked(debs[f"linux-image-{kernel}"]) / f"usr/lib/modules/{kernel}"
            for module in self.closure(root, MODULES.get(group, r"^\b$")):
                there = tree / f"usr/lib/modules/{kernel}" / module
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / module, there)
        else:
            return False
        fields["Filename"] = f"pool/stand-in/{name}_{fields['Version'].split(':')[-1]}_amd64.udeb"
        control = ["Package", "Version", "Maintainer", "Architecture", "Provides", "Depends", "Kernel-Version", "Section", "Priority"]
        text = "".join(f"{key}: {fields[key]}\n" for key in control if key in fields)
        (tree / "DEBIAN/control").write_text(f"{text}Description: stand-in of a test's for {name}\n")
        here = self.own / fields["Filename"]
        here.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, here], check=True, stdout=subprocess.DEVNULL)
        data = here.read_bytes()
        fields.pop("MD5sum", None)
        fields.update(Size=str(len(data)), SHA256=hashlib.sha256(data).hexdigest())
        print("stand-in:", name, len(data), flush=True)
        return True

    def closure(self, root, wanted):
        """Modules whose paths match, and what they need, below root."""
        if not hasattr(self, "modules"):
            self.modules = {}
            for path in root.rglob("*.ko*"):
                self.modules[path.name.split(".ko")[0].replace("-", "_")] = path
        todo = [name for name, path in self.modules.items() if re.search(f"kernel/({wanted})", str(path.relative_to(root)))]
        found = set()
        while todo:
            name = todo.pop()
            if name in found or name not in self.modules:
                continue
            found.add(name)
            data = self.modules[name].read_bytes()
            if self.modules[name].suffix == ".xz":
                data = lzma.decompress(data)
            for needs in re.findall(rb"\0(?:depends=|softdep=pre: )([^\0]*)", data):
                todo += re.split(r"[, ]+", needs.decode().replace("-", "_"))
        return sorted(self.modules[name].relative_to(root) for name in found)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    archive = None

    def do_GET(self):
        path = self.path.split("?")[0].lstrip("/").removeprefix("debian/")
        if ".." in path:
            return self.send_error(400)
        own = self.archive.own / path
        index = f"dists/{self.archive.suite}/main/debian-installer/"
        try:
            here = own if own.is_file() else None
            # The mirror's own index names what is not there; its signature is of another Release.
            if here is None and (path.startswith(index) or path == f"dists/{self.archive.suite}/Release.gpg"):
                return self.send_error(404)
            here = here or self.archive.fetch(path)
            size = here.stat().st_size
        except urllib.error.HTTPError as error:
            return self.send_error(error.code)
        except OSError as error:
            return self.send_error(502, str(error).split("\n")[0])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "GET":
            with open(here, "rb") as file:
                shutil.copyfileobj(file, self.wfile)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(mirror, folder, place):
    archive = Archive(mirror, "trixie", Path(folder))
    # Indices change; packages do not.
    shutil.rmtree(archive.cache / "dists", ignore_errors=True)
    shutil.rmtree(archive.own, ignore_errors=True)
    versions, kernel = installed(archive.netboot(Path(folder) / "netboot.tar.gz"))
    archive.complete(versions, kernel)
    Handler.archive = archive
    Path(place).unlink(missing_ok=True)
    server = Server(place, Handler)
    print("ready", flush=True)
    server.serve_forever()


def pump(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # The other side is gone: there is nothing more to carry.
        source.close()
        target.close()


def keep(log):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", 514))
    with open(log, "wb", buffering=0) as file:
        while True:
            file.write(listener.recv(1 << 16).rstrip(b"\n") + b"\n")


def relay(place, port, log):
    threading.Thread(target=keep, args=(log,), daemon=True).start()
    listener = socket.create_server(("", int(port)))
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(place)
        for ends in (client, server), (server, client):
            threading.Thread(target=pump, args=ends, daemon=True).start()


{"serve": serve, "relay": relay}[sys.argv[1]](*sys.argv[2:])
