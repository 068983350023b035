"""Tars whose every byte is chosen here, and the archive of `docker save` around them."""
import hashlib
import json
import math
import os
import re
import stat
from decimal import Decimal
from pathlib import Path

NEWEST = 1767225600  # no file of a layer is younger, so that two runs give the same bytes
FILE, LINK, SYMLINK, CHARACTER, BLOCK, FOLDER, FIFO = "0123456"
KIND_OF = {stat.S_IFREG: FILE, stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHARACTER, stat.S_IFBLK: BLOCK, stat.S_IFDIR: FOLDER, stat.S_IFIFO: FIFO}


def field(value, width):
    """A number in a header: octal, or base 256 where octal has no room or no sign."""
    if 0 <= value < 8 ** (width - 1):
        return f"{value:0{width - 1}o}\0".encode()
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    raw[0] |= 0x80
    return bytes(raw)


def header(name, kind=FILE, size=0, mode=0o644, uid=0, gid=0, mtime=NEWEST, link=b"", device=(0, 0), gnu=False, rest=b""):
    """512 bytes; `rest` is what follows the device numbers: the prefix of ustar, the sparse map of GNU."""
    before = name[:100].ljust(100, b"\0") + field(mode, 8) + field(uid, 8) + field(gid, 8) + field(size, 12) + field(mtime, 12)
    after = kind.encode() + link[:100].ljust(100, b"\0") + (b"ustar  \0" if gnu else b"ustar\x0000") + bytes(64)
    after = (after + field(device[0], 8) + field(device[1], 8) + rest).ljust(512 - 156, b"\0")
    return before + b"%06o\0 " % (sum(before) + sum(after) + 8 * 32) + after


def record(key, value):
    """One record of a pax header, which begins with its own length."""
    length = len(key) + len(value) + 3
    while length != len(str(length)) + len(key) + len(value) + 3:
        length = len(str(length)) + len(key) + len(value) + 3
    return str(length).encode() + b" " + key + b"=" + value + b"\n"


class Tar:
    """One tar in one dialect: ustar, gnu or pax."""

    def __init__(self, path, dialect="pax"):
        self.file, self.dialect = open(path, "wb"), dialect

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.write(bytes(1024))
        self.file.close()

    def raw(self, head, data=b""):
        """A finished header and its content: bytes, or the path of a file."""
        self.file.write(head)
        if isinstance(data, Path):
            with open(data, "rb") as source:
                while piece := source.read(1 << 20):
                    self.file.write(piece)
        else:
            self.file.write(data)
        self.file.write(bytes(-length_of(data) % 512))

    def add(self, name, kind=FILE, data=b"", mode=None, uid=0, gid=0, mtime=NEWEST, link="", device=(0, 0), xattrs=None, pax=None):
        """`mtime` may be a text with a fraction; `xattrs` and `pax` map names to bytes."""
        name, link = os.fsencode(name), os.fsencode(link)
        if kind == FOLDER:
            name = name.rstrip(b"/") + b"/"
        mode = mode if mode is not None else {FOLDER: 0o755, SYMLINK: 0o777}.get(kind, 0o644)
        fields = dict(size=length_of(data), mode=mode, uid=uid, gid=gid, mtime=math.floor(Decimal(mtime)), device=device, link=link)
        if self.dialect == "gnu":
            for flag, text in (("L", name), ("K", link)):
                if len(text) > 100:
                    self.raw(header(b"././@LongLink", flag, len(text) + 1, 0, mtime=0, gnu=True), text + b"\0")
            fields["gnu"] = True
        elif self.dialect == "ustar" and len(name) > 100:
            cut = name.rindex(b"/", 0, min(156, len(name) - 1))
            fields["rest"], name = name[:cut], name[cut + 1:]
        elif self.dialect == "pax":
            more = {key.encode(): value for key, value in (pax or {}).items()}
            more |= {b"SCHILY.xattr." + key.encode(): value for key, value in (xattrs or {}).items()}
            for key, text in ((b"path", name), (b"linkpath", link)):
                if len(text) > 100 or not text.isascii():
                    more[key] = text
            for key in ("uid", "gid"):
                if fields[key] >= 8**7:
                    more[key.encode()] = str(fields[key]).encode()
                    fields[key] = 0
            if isinstance(mtime, str) or fields["mtime"] < 0:
                more[b"mtime"] = str(mtime).encode()
                fields["mtime"] = max(fields["mtime"], 0)
            if more:
                body = b"".join(record(*pair) for pair in more.items())
                self.raw(header(b"PaxHeaders/next", "x", len(body)), body)
        self.raw(header(name, kind, **fields), data)


def pack(root, out, leave_out="", secrets=()):
    """A folder, or the upper folder of an overlay, as a layer: sorted, times cut off, overlay's marks as `.wh.` files.
    Leaves out what matches `leave_out`; stops when a file of /etc or /var names one of `secrets`."""
    skip = re.compile(leave_out or r"(?!)")
    first = {}
    with Tar(out) as tar:
        for path in sorted(root.rglob("*")):
            name, info = str(path.relative_to(root)), path.lstat()
            kind = KIND_OF.get(stat.S_IFMT(info.st_mode))
            if kind is None or skip.match(name):
                continue
            if kind == CHARACTER and info.st_rdev == 0:
                tar.add(str(Path(name).parent / f".wh.{path.name}"), mode=0)
                continue
            if kind == FILE and name.startswith(("etc/", "var/")) and info.st_size < 1 << 20:
                if any(secret in path.read_bytes() for secret in secrets):
                    raise SystemExit(f"{name} names this machine's mirrors or name servers")
            held = {key: os.getxattr(path, key, follow_symlinks=False) for key in sorted(os.listxattr(path, follow_symlinks=False))}
            again = kind != FOLDER and first.setdefault((info.st_dev, info.st_ino), name) != name
            target = first[info.st_dev, info.st_ino] if again else os.readlink(path) if kind == SYMLINK else ""
            tar.add(name, LINK if again else kind, path if kind == FILE and not again else b"", stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid,
                    min(int(info.st_mtime), NEWEST), target, (os.major(info.st_rdev), os.minor(info.st_rdev)),
                    {key: value for key, value in held.items() if key.startswith(("user.", "security.capability"))})
            if held.get("trusted.overlay.opaque") == b"y":
                tar.add(f"{name}/.wh..wh..opq", mode=0)
    return out


def length_of(data):
    return data.stat().st_size if isinstance(data, Path) else len(data)


def digest_of(data):
    hasher = hashlib.sha256()
    if isinstance(data, Path):
        with open(data, "rb") as file:
            hasher = hashlib.file_digest(file, "sha256")
    else:
        hasher.update(data)
    return "sha256:" + hasher.hexdigest()


def configuration(diff_ids, config, platform=("linux", "amd64")):
    created = "2026-01-01T00:00:00Z"
    history = [{"created": created, "created_by": f"layer {number}"} for number, _ in enumerate(diff_ids)]
    body = {"os": platform[0], "architecture": platform[1], "created": created, "config": config, "history": history}
    return json.dumps(body | {"rootfs": {"type": "layers", "diff_ids": diff_ids}}, sort_keys=True).encode()


def archive(out, files, symlinks=None):
    with Tar(out, "gnu") as tar:
        for name, data in files.items():
            tar.add(name, data=data)
        for name, target in (symlinks or {}).items():
            tar.add(name, SYMLINK, link=target)


def save(out, reference, layers, config):
    """The archive of one image."""
    diff_ids = [digest_of(layer) for layer in layers]
    raw = configuration(diff_ids, config)
    places = [f"{diff_id[7:]}/layer.tar" for diff_id in diff_ids]
    name = digest_of(raw)[7:] + ".json"
    manifest = [{"Config": name, "RepoTags": [reference], "Layers": places}]
    archive(out, {name: raw, **dict(zip(places, layers)), "manifest.json": json.dumps(manifest).encode()})
