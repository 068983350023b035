"""`hostile`: an image that is allowed and hard to get right, with a list of what a container of it must show."""
import base64
import hashlib
import json
import os
import stat
import struct

from tars import BLOCK, CHARACTER, FIFO, FILE, FOLDER, KIND_OF, LINK, SYMLINK, Tar, digest_of, field, header

NAMES = {FILE: "file", FOLDER: "folder", SYMLINK: "symlink", CHARACTER: "character device", BLOCK: "block device", FIFO: "fifo"}
GIB = 1 << 30
CAN_PING = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)  # security.capability, revision 2: cap_net_raw=ep
PIECES = {0: b"first", GIB // 2: b"middle", GIB - 512: b"last".ljust(512, b".")}


class Story:
    """Writes layers one after the other and remembers what they add up to."""

    def __init__(self, folder):
        self.folder, self.layers, self.shown, self.entries = folder, [], {}, {}

    def layer(self, dialect):
        self.layers.append(self.folder / f"hostile{len(self.layers)}.tar")
        self.tar = Tar(self.layers[-1], dialect)
        return self.tar

    def add(self, path, data=b"", kind=FILE, written=None, **meta):
        """An entry, and what its path shows from now on."""
        if kind == LINK:  # repeats what its target's entry says
            self.tar.add(path, LINK, **{**self.entries[meta["link"]], **meta})
            self.shown[path] = {**self.shown[meta["link"]], "same_inode_as": meta["link"]}
            return
        self.tar.add(written or path, kind, data, **meta)
        self.entries[path] = {key: value for key, value in meta.items() if key in ("mode", "uid", "gid", "mtime")}
        mode = meta.get("mode", {FOLDER: 0o755, SYMLINK: 0o777}.get(kind, 0o644))
        facts = {"type": NAMES[kind], "mode": f"{mode:04o}", "uid": meta.get("uid", 0), "gid": meta.get("gid", 0)}
        if kind == FILE:
            facts |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if kind == SYMLINK:
            facts["target"] = meta["link"]
        if "device" in meta:
            facts["device"] = list(meta["device"])
        if "mtime" in meta:
            seconds, _, fraction = str(meta["mtime"]).partition(".")
            facts["mtime_ns"] = int(seconds + fraction.ljust(9, "0"))
        if "xattrs" in meta:
            facts["xattrs"] = {key: value.hex() for key, value in meta["xattrs"].items()}
        self.shown[path] = facts

    def folder_of(self, path, *children, **meta):
        self.add(path, kind=FOLDER, **meta)
        for child in children:
            self.add(f"{path}/{child}", b"below")

    def gone(self, *paths):
        for path in paths:
            self.shown = {other: facts for other, facts in self.shown.items() if not other.startswith(path + "/")}
            self.shown[path] = {"type": "absent"}

    def hide(self, *paths):
        for path in paths:
            folder, _, name = path.rpartition("/")
            self.tar.add(f"{folder}/.wh.{name}", mode=0)
        self.gone(*paths)

    def opaque(self, folder, *hidden):
        self.tar.add(f"{folder}/.wh..wh..opq", mode=0)
        self.gone(*(f"{folder}/{name}" for name in hidden))

    def holds(self, count, *folders):
        for folder in folders:
            self.shown[folder]["entries"] = count

    def sparse(self, path, form):
        """1 GiB with three pieces of 512 bytes, in GNU's old form or in pax's forms 0.1 and 1.0."""
        data = b"".join(piece.ljust(512, b"\0") for piece in PIECES.values())
        if form == "gnu":
            table = b"".join(field(offset, 12) + field(512, 12) for offset in PIECES).ljust(96, b"\0")
            self.tar.raw(header(path.encode(), "S", len(data), gnu=True, rest=bytes(41) + table + b"\0" + field(GIB, 12)), data)
        elif form == "0.1":
            table = ",".join(f"{offset},512" for offset in PIECES).encode()
            self.tar.add("GNUSparseFile.0/old", data=data, pax={
                "GNU.sparse.size": b"%d" % GIB, "GNU.sparse.numblocks": b"3", "GNU.sparse.map": table, "GNU.sparse.name": path.encode()})
        else:
            table = "".join([f"{len(PIECES)}\n", *(f"{offset}\n512\n" for offset in PIECES)]).encode().ljust(512, b"\0")
            self.tar.add("GNUSparseFile.0/new", data=table + data, pax={
                "GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": path.encode(), "GNU.sparse.realsize": b"%d" % GIB})
        whole = self.folder / "whole"
        with open(whole, "wb") as file:
            for offset, piece in PIECES.items():
                file.seek(offset)
                file.write(piece)
        self.gone("GNUSparseFile.0")
        self.shown[path] = {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "size": GIB, "sha256": digest_of(whole)[7:]}


def tell(story):
    with story.layer("ustar"):  # what later layers change
        for path in "swap gone again opaque marked back links twice ids modes times names attributes symlinks devices folders sparse long latin".split():
            story.folder_of(path)
        for path in "swap/folder-to-file swap/folder-to-symlink gone/folder gone/folder/deep again/folder opaque/inner marked/inner folders/changed".split():
            story.folder_of(path, "child")
        for path in "gone/file opaque/old marked/old back/file links/lower swap/file-to-folder swap/target modes/changed".split():
            story.add(path, b"below")
        story.add("swap/symlink-to-file", kind=SYMLINK, link="target")
        story.add("swap/symlink-to-folder", kind=SYMLINK, link="folder-to-file")
        story.add(f"names/{'p' * 90}/{'q' * 90}", b"the prefix of ustar; its folder has no entry")
    with story.layer("gnu"):
        story.add("ids/highest", uid=65535, gid=65535)
        story.add("ids/above", uid=70000, gid=70000)
        story.add(f"names/{'n' * 180}", b"GNU's long name")
        story.add(f"long/{'w' * 255}", b"as long as names can be")
        story.add("symlinks/long", kind=SYMLINK, link="t/" * 500 + "end")
        story.add(os.fsdecode(b"latin/caf\xe9"), b"not UTF-8")
        story.add("times/gnu-1965", mtime=-157766400)
        story.sparse("sparse/gnu", "gnu")
    with story.layer("pax"):
        story.add(".", kind=FOLDER, written="./")
        story.add("modes/setuid", b"#!", mode=0o4755, uid=1000)
        story.add("ids/huge", uid=3_000_000_000, gid=3_000_000_001)
        story.add("modes/none", mode=0)
        story.folder_of("modes/setgid", mode=0o2775, gid=65535)
        story.folder_of("modes/sticky", mode=0o1777)
        story.add("attributes/user", xattrs={"user.note": b"hello", "user.bytes": bytes(range(256))})
        story.folder_of("attributes/folder", xattrs={"user.folder": b"also on folders"})
        story.add("attributes/capability", b"ping", mode=0o755, xattrs={"security.capability": CAN_PING})
        story.add("times/nanoseconds", mtime="1234567890.123456789")
        story.add("times/1969", mtime="-86400.500000000")
        for name in ("żółć-日本語-🦀", "new\nline", " -rf *\\\"'$(x)\t", ".whale", "a.wh.b"):
            story.add(f"names/{name}", b"an odd name, and no mark")
        story.add("names/dotted", b"", written="././names//dotted")
        story.add("long/" + "/".join(["d" * 199] * 19 + ["e" * 195]), b"4,000 bytes of path")
        story.add("links/one", b"linked", mode=0o640, uid=1000)
        story.add("folders/implied/one/two", kind=LINK, link="links/one")
        for name, target in {"self": "self", "there": "back", "back": "there", "absolute": "/etc/passwd", "above-root": "../" * 6 + "etc/passwd"}.items():
            story.add(f"symlinks/{name}", kind=SYMLINK, link=target)
        story.add("links/to-symlink", kind=LINK, link="symlinks/above-root")
        story.add("devices/null", kind=CHARACTER, device=(1, 3), mode=0o666)
        story.add("devices/block", kind=BLOCK, device=(7, 300), mode=0o660)
        story.add("devices/fifo", kind=FIFO, mode=0o600)
        story.add("twice/file", b"first", mode=0o600)
        story.add("twice/file", b"second", mode=0o600)
        story.folder_of("twice/folder-then-symlink")
        story.add("twice/folder-then-symlink", kind=SYMLINK, link="file")
        story.add("twice/symlink-then-file", kind=SYMLINK, link="file")
        story.add("twice/symlink-then-file", b"the target stays as it is")
        story.sparse("sparse/new", "1.0")
        story.sparse("sparse/old", "0.1")
    with story.layer("ustar"):
        story.folder_of("many")
        for number in range(100_000):
            story.tar.add(f"many/{number:05}")
        story.holds(100_000, "many")
    with story.layer("ustar"):
        pass
    with story.layer("pax"):  # changes to what is below
        story.gone("swap/folder-to-file", "swap/folder-to-symlink", "swap/symlink-to-file")
        for path in ("swap/file-to-folder", "swap/symlink-to-folder"):
            story.folder_of(path, "child")
        for path in ("swap/folder-to-file", "swap/symlink-to-file"):
            story.add(path, b"now a file")
        story.add("swap/folder-to-symlink", kind=SYMLINK, link="file-to-folder")
        story.hide("gone/file", "gone/folder", "gone/never-was", "back/file", "long/" + "w" * 255, "again/folder")
        story.folder_of("again/folder", "new", mode=0o700)
        story.folder_of("opaque", mode=0o750, gid=65535)
        story.opaque("opaque", "old", "inner")  # the mark comes first
        story.add("opaque/new", b"new")
        story.folder_of("marked/inner", "new")
        story.opaque("marked", "old", "inner/child")  # and here last
        story.holds(1, "again/folder", "opaque", "marked", "marked/inner")
        story.folder_of("folders/changed", mode=0o711, uid=1000, xattrs={"user.changed": b"yes"})  # its child stays
        story.add("modes/changed", b"below", mode=0o4711, gid=65535)
        story.add("links/to-lower", kind=LINK, link="links/lower")
    with story.layer("gnu"):  # what was hidden comes back
        story.add("back/file", b"back again", uid=65535)
        story.folder_of("gone/folder", "child")
        story.gone("gone/folder/deep")
        story.holds(1, "gone/folder")


def make(base, work, out):
    """The layers; writes OUT.expect.json."""
    story = Story(work)
    tell(story)
    paths = []
    for path, facts in story.shown.items():
        raw = os.fsencode(path)
        shown = raw.decode(errors="replace")
        paths.append({"path": shown, **({} if shown == path else {"path_base64": base64.b64encode(raw).decode()}), **facts})
    about = "what a container must show; mode is octal, xattrs are hexadecimal, path_base64 holds a path that is not UTF-8"
    out.with_suffix(".expect.json").write_text(json.dumps({"about": about, "paths": paths}, indent=1) + "\n")
    return [base, *story.layers]


def observe(path, wanted):
    """The wanted facts, as they are."""
    if not os.path.lexists(path):
        return {"type": "absent"}
    info = os.lstat(path)
    kind = KIND_OF.get(stat.S_IFMT(info.st_mode))
    facts = {"type": NAMES.get(kind, "something else"), "mode": f"{stat.S_IMODE(info.st_mode):04o}", "uid": info.st_uid, "gid": info.st_gid,
             "size": info.st_size, "mtime_ns": info.st_mtime_ns, "device": [os.major(info.st_rdev), os.minor(info.st_rdev)]}
    if kind == SYMLINK:
        facts["target"] = os.readlink(path)
    if "xattrs" in wanted:
        names = (key for key in os.listxattr(path, follow_symlinks=False) if key.startswith(("user.", "security.capability")))
        facts["xattrs"] = {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in names}
    if "sha256" in wanted and kind == FILE:
        with open(path, "rb") as file:
            facts["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if "entries" in wanted and kind == FOLDER:
        facts["entries"] = len(os.listdir(path))
    other = wanted.get("same_inode_as")
    if other and os.path.lexists(other):
        facts["same_inode_as"] = other if os.path.samestat(info, os.lstat(other)) else "another inode"
    return facts


def check(expectation, root):
    """Prints every difference between a folder and the expectation; 1 when there is any.

    A process's root is another user namespace's: ids and what only its own ids may read are looked at from outside as
    the ids that it maps, read from the same process's uid_map."""
    os.chdir(root)
    shift = first_id(root)
    wrong, paths = 0, json.loads(expectation.read_text())["paths"]
    for wanted in paths:
        shown, raw = wanted.pop("path"), wanted.pop("path_base64", None)
        found = observe(os.fsdecode(base64.b64decode(raw)) if raw else shown, wanted)
        for key in ("uid", "gid"):
            if key in found:
                found[key] -= shift
        for key, value in wanted.items():
            if found.get(key) != value and not (key == "xattrs" and shift and same_attributes(found.get(key), value)):
                wrong += 1
                print(f"{shown[:80]!r}: {key} is {found.get(key)!r}, should be {value!r}")
    print(f"{len(paths)} paths, {wrong} differences")
    return int(wrong > 0)


def first_id(root):
    """Where the ids of /proc/PID/root begin; 0 for any other folder."""
    parts = os.fspath(root).split("/")
    if parts[1:2] != ["proc"] or parts[3:4] != ["root"]:
        return 0
    with open(f"/proc/{parts[2]}/uid_map") as table:
        inside, outside, _ = table.readline().split()
    return int(outside) - int(inside)


def same_attributes(found, wanted):
    """Seen from outside of its user namespace a file capability is of revision 3, with the namespace's root id."""
    def plain(attributes):
        return {key: (value[8:40] if key == "security.capability" else value) for key, value in (attributes or {}).items()}
    return plain(found) == plain(wanted)
