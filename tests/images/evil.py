"""`evil`: archives for `docker load` that must be refused, or do no harm; and what is right for each."""
import hashlib
import io
import json
import struct
import subprocess
import zlib
from pathlib import Path

from tars import CHARACTER, FILE, FOLDER, LINK, SYMLINK, Tar, archive, configuration, digest_of, field, header, record

# The folder outside that they aim at: before and after it holds the file `secret` and nothing more.
OUTSIDE, SECRET = "/tmp/evil-host", "of the host\n"
UP = "../" * 12 + OUTSIDE[1:]
CONFIG = {"Env": ["PATH=/bin"], "Cmd": ["sh"]}


class Memory(Tar):
    """A tar in memory."""

    def __init__(self):
        self.file, self.dialect = io.BytesIO(), "pax"


def layer(*entries):
    """Each is (name, kind, data, meta), or (header, data) already made."""
    tar = Memory()
    for entry in entries:
        if len(entry[0]) >= 512:
            tar.raw(*entry)
        else:
            name, kind, data, meta = (*entry, b"", {})[:4] if len(entry) < 3 else (*entry, {})[:4]
            tar.add(name, kind, data, **meta)
    return tar.file.getvalue() + bytes(1024)


def link(target, name="loot", kind=LINK):
    return name, kind, b"", {"link": target}


def bomb(size, step=1 << 26):
    """A gzip whose one deflated block of zeros is repeated, and the digest of the tar in it."""
    start, zeros, end = header(b"zeros", size=size, gnu=True), bytes(step), bytes(1024)
    hasher, crc = hashlib.sha256(), 0
    for piece in (start, *(zeros for _ in range(size // step)), end):
        hasher.update(piece)
        crc = zlib.crc32(piece, crc)
    parts = []
    for piece, flush in ((start, zlib.Z_FULL_FLUSH), (zeros, zlib.Z_FULL_FLUSH), (end, zlib.Z_FINISH)):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        parts.append(packer.compress(piece) + packer.flush(flush))
    body = parts[0] + parts[1] * (size // step) + parts[2]
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + body + struct.pack("<2I", crc, (size + 1536) % 2**32), "sha256:" + hasher.hexdigest()


class Maker:
    def __init__(self, base, out):
        out.mkdir(parents=True, exist_ok=True)
        self.base, self.out, self.index = base, out, {}
        self.known = digest_of(base)

    def fresh(self, name):
        """A layer that no engine has yet, so that none is taken from a store unread."""
        return layer((f"evil/{name}", FILE, hashlib.sha256(name.encode()).digest() * 2000))

    def put(self, name, expect, why, *layers, diff_ids=None, config=CONFIG, raw=None, files=None, symlinks=None, **manifest):
        places = {f"{number}.tar": data for number, data in enumerate([self.base, *(layers or [self.fresh(name)])])}
        raw = raw or configuration(diff_ids or [digest_of(data) for data in places.values()], config)
        listed = [{"Config": "config.json", "RepoTags": [f"evil:{name}"], "Layers": list(places), **manifest}]
        archive(self.out / f"{name}.tar", {"config.json": raw, "manifest.json": json.dumps(listed).encode(), **places, **(files or {})}, symlinks)
        self.index[f"{name}.tar"] = {"expect": expect, "why": why}


def make(base, out):
    maker = Maker(base, out)
    names(maker)
    links_and_marks(maker)
    sizes(maker)
    archives(maker)
    about = "refuse; neutralise: may load, but changes nothing outside and shows nothing of the host; limit: needs a bound; accept"
    host = {"folder": OUTSIDE, "files": {"secret": SECRET}}
    (out / "index.json").write_text(json.dumps({"about": about, "host": host, "archives": maker.index}, indent=1) + "\n")


def names(maker):
    put, way = maker.put, link(OUTSIDE, "way", SYMLINK)
    put("path-dotdot", "neutralise", "a name that climbs out of the root", layer((f"{UP}/escaped", FILE, b"out")))
    put("path-inner-dotdot", "neutralise", "climbs out in the middle of a name", layer((f"bin/{UP}/escaped", FILE, b"out")))
    put("path-absolute", "neutralise", "an absolute name means one below the root", layer((f"{OUTSIDE}/escaped", FILE, b"out")))
    put("path-through-symlink", "neutralise", "writes through a symlink of the same layer", layer(way, ("way/escaped", FILE, b"out")))
    put("path-through-climbing-symlink", "neutralise", "the same, relative", layer(link(UP, "way", SYMLINK), ("way/escaped", FILE, b"out")))
    put("path-through-symlink-below", "neutralise", "a symlink of the layer below", layer(way), layer(("way/escaped", FILE, b"out")))
    put("folder-over-symlink", "neutralise", "changes the mode of what a symlink names", layer(way), layer(("way", FOLDER, b"", {"mode": 0o777})))
    put("attribute-through-symlink", "neutralise", "sets an attribute through a symlink",
        layer(("way", SYMLINK, b"", {"link": f"{OUTSIDE}/secret", "xattrs": {"user.evil": b"1"}})))
    put("overlay-attributes", "neutralise", "overlay would take them for its own; /bin must stay full", layer(("bin", FOLDER, b"", {"xattrs": {
        "trusted.overlay.opaque": b"y", "trusted.overlay.redirect": OUTSIDE.encode(), "user.overlay.opaque": b"y"}})))
    put("overlay-whiteout-device", "neutralise", "device 0/0 is overlay's deletion mark", layer(("bin/busybox", CHARACTER, b"", {"device": (0, 0)})))
    put("device-outside-dev", "accept", "a device node may be anywhere", layer(("home/disk", CHARACTER, b"", {"device": (8, 0)})))
    nul = record(b"path", b"a\0b")
    put("name-with-nul", "refuse", "a NUL byte in a pax path", layer((header(b"PaxHeaders/x", "x", len(nul)), nul), ("a", FILE)))
    put("name-empty", "neutralise", "a file without a name", layer((header(b""), b"")))


def links_and_marks(maker):
    put, way = maker.put, link(OUTSIDE, "way", SYMLINK)
    put("hard-link-dotdot", "refuse", "a hard link to a file of the host, then written", layer(link(f"{UP}/secret"), ("loot", FILE, b"overwritten")))
    put("hard-link-absolute", "refuse", "the same, absolute", layer(link(f"{OUTSIDE}/secret")))
    put("hard-link-through-symlink", "refuse", "its target lies behind a symlink", layer(way, link("way/secret")))
    put("hard-link-to-itself", "refuse", "its own name", layer(link("loot")))
    put("hard-link-to-nothing", "refuse", "a name that no layer has", layer(link("nothing/there")))
    put("whiteout-through-symlink", "neutralise", "deletes through a symlink", layer(way), layer(("way/.wh.secret", FILE)))
    put("opaque-through-symlink", "neutralise", "empties a folder through a symlink", layer(way), layer(("way/.wh..wh..opq", FILE)))
    put("whiteout-of-parent", "refuse", "`.wh...` names the folder above", layer((".wh...", FILE), ("bin/.wh...", FILE)))
    put("whiteout-of-itself", "refuse", "`.wh..` names its own folder", layer(("bin/.wh..", FILE)))
    put("whiteout-without-name", "refuse", "`.wh.` names nothing", layer(("bin/.wh.", FILE)))


def sizes(maker):
    put = maker.put
    put("size-negative", "refuse", "a negative size", layer((header(b"a", size=-512, gnu=True), b"")))
    put("size-huge", "refuse", "claims 8 EiB, holds nothing", layer((header(b"a", size=2**63 - 1, gnu=True), b"")))
    table = (field(0, 12) + field(512, 12)).ljust(96, b"\0")
    put("size-huge-sparse", "limit", "512 bytes that unpack to 4 PiB",
        layer((header(b"a", "S", 512, gnu=True, rest=bytes(41) + table + b"\0" + field(1 << 52, 12)), bytes(512))))
    records = b"".join(record(b"x.%07d" % number, b"v" * 87) for number in range(10**6))
    put("pax-million-records", "limit", "a pax header of 100 MB", layer((header(b"PaxHeaders/x", "x", len(records)), records), ("a", FILE)))
    put("gnu-name-100-mb", "limit", "a GNU name of 100 MB", layer((header(b"././@LongLink", "L", 10**8, gnu=True), b"n" * 10**8), ("a", FILE)))
    packed, digest = bomb(20 << 30)
    put("gzip-bomb", "limit", "20 MB that unpack to 20 GiB", packed, diff_ids=[maker.known, digest])
    whole = maker.fresh("truncated-layer")
    half = whole[: 32 << 10]
    put("truncated-layer", "refuse", "the second half is missing", half, diff_ids=[maker.known, digest_of(whole)])
    put("truncated-layer-right-digest", "refuse", "ends within a file, and the diff id agrees", half)
    put("not-a-tar", "refuse", "noise", hashlib.sha256(b"noise").digest() * 1000)
    huge = {**CONFIG, "Env": [f"V{number:06}={'v' * 192}" for number in range(200_000)]}
    put("config-huge-env", "limit", "200,000 variables of 200 bytes", config=huge)


def archives(maker):
    put, known = maker.put, maker.known
    put("wrong-diff-id", "refuse", "not the layer that the configuration names", diff_ids=[known, "sha256:" + "1" * 64])
    put("config-diff-id-path", "refuse", "a diff id that is a path", diff_ids=[known, "sha256:" + UP])
    put("fewer-layers", "refuse", "three diff ids, two layers", diff_ids=[known] * 3)
    put("more-layers", "refuse", "one diff id, two layers", diff_ids=[known])
    other = "2" * 64 + ".json"
    put("wrong-config-digest", "refuse", "the configuration is not what its name says", Config=other,
        files={other: configuration([known, digest_of(maker.fresh("wrong-config-digest"))], CONFIG)})
    put("missing-layer", "refuse", "a layer that the archive lacks", Layers=["0.tar", "absent.tar"])
    put("missing-config", "refuse", "a configuration that the archive lacks", Config="absent.json")
    put("layer-symlink", "refuse", "a layer that is a symlink to the host", Layers=["0.tar", "link.tar"], symlinks={"link.tar": f"{OUTSIDE}/layer.tar"})
    put("archive-path", "neutralise", "an entry of the archive itself climbs out", files={f"{UP}/escaped": b"out"})
    put("manifest-layers-path", "refuse", "Layers points out of the archive", Layers=["0.tar", f"{UP}/layer.tar"])
    put("manifest-config-path", "refuse", "Config points out of the archive", Config=f"{UP}/config.json")
    put("manifest-tag-path", "refuse", "the tag is no reference", RepoTags=["../../../evil:latest"])
    put("manifest-layers-text", "refuse", "Layers is a text", Layers="0.tar")
    for name, why, text in (("object", "an object", b'{"Config": "config.json", "Layers": ["0.tar"]}'), ("null", "a list with null", b"[null]"),
                            ("cut-off", "cut off", b'[{"Config":'), ("nested", "a million opening brackets", b"[" * 10**6)):
        put(f"manifest-{name}", "refuse", f"manifest.json is {why}", files={"manifest.json": text})
    put("config-not-object", "refuse", "the configuration is a list", raw=b"[]")
    put("config-wrong-types", "refuse", "Env is a number, Cmd an object", config={"Env": 1, "Cmd": {"sh": 1}})


def attempt(folder, address):
    """Loads every archive into a running engine; 1 when one does not end as its index says."""
    index, wrong = json.loads((folder / "index.json").read_text()), 0
    outside = Path(index["host"]["folder"])
    outside.mkdir(exist_ok=True)
    (outside / "secret").write_text(SECRET)
    docker = ["docker", "-H", address]
    for name, about in index["archives"].items():
        loaded = subprocess.run([*docker, "load", "-i", folder / name], capture_output=True, text=True)
        well = {"refuse": loaded.returncode != 0, "limit": loaded.returncode != 0, "accept": loaded.returncode == 0}.get(about["expect"], True)
        if loaded.returncode == 0:
            tag = f"evil:{name.removesuffix('.tar')}"
            ran = subprocess.run([*docker, "run", "--rm", "--network", "none", tag, "sh", "-c", "ls -R / >/dev/null; cat /loot /way/secret /way 2>/dev/null; true"],
                                 capture_output=True, text=True)
            well &= ran.returncode == 0 and SECRET not in ran.stdout
            subprocess.run([*docker, "rmi", "-f", tag], capture_output=True)
        well &= [path.name for path in outside.iterdir()] == ["secret"] and (outside / "secret").read_text() == SECRET
        if not well:
            wrong += 1
            print(f"{name} ({about['expect']}: {about['why']}): status {loaded.returncode}, {loaded.stderr.strip() or loaded.stdout.strip()}")
    (outside / "secret").unlink()
    outside.rmdir()
    print(f"{len(index['archives'])} archives, {wrong} wrong")
    return int(wrong > 0)
