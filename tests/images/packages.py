"""Root folders and layers from Debian's packages, fetched by an apt with a state of its own. The images name no mirror
of this machine."""
import os
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

from tars import NEWEST, pack

SUITE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITES = {"debian": (SUITE, f"{SUITE}-updates"), "debian-security": (f"{SUITE}-security",)}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What differs between runs or machines, and what apt, dpkg and Python make again by themselves.
LEAVE_OUT = "|".join((
    r"(dev|proc|sys|tmp)/.", r".*\.pyc$", r".*/__pycache__$", r"etc/(resolv\.conf|hostname|hosts|mtab|\.pwd\.lock)$",
    r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-$", r"etc/apt/(sources\.list|apt\.conf\.d/99mmdebstrap)$",
    r"etc/dpkg/dpkg\.cfg\.d/99mmdebstrap$", r"etc/ssl/(private/ssl-cert-snakeoil\.key|certs/ssl-cert-snakeoil\.pem|certs/[0-9a-f]{8}\.\d)$",
    r"usr/sbin/policy-rc\.d$", r"var/log/(apt/.*|(dpkg|alternatives|bootstrap|fontconfig)\.log)$", r"var/cache/(apt|debconf|ldconfig|man)/.",
    r"var/lib/apt/lists/.", r"var/lib/(dpkg|ucf)/.*-old$", r"var/lib/(dbus/machine-id|systemd/random-seed)$", r"var/lib/dpkg/lock.*$"))

SERVE_REDIS = """#!/bin/sh
set -e
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
  chown -R redis:redis .
  exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
exec "$@"
"""
SERVE_POSTGRES = """#!/bin/bash
set -euo pipefail
if [ "${1:-}" != postgres ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"; chown -R postgres:postgres "$PGDATA" /var/run/postgresql; chmod 700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -z "${POSTGRES_PASSWORD:-}" ]; then echo "POSTGRES_PASSWORD is not set" >&2; exit 1; fi
  initdb -D "$PGDATA" -U "${POSTGRES_USER:-postgres}" --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 --pwfile=<(echo "$POSTGRES_PASSWORD")
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
"""
USER = "groupadd --system --gid 999 {0}; useradd --system --gid {0} --uid 999 --home-dir {1} --shell /bin/bash {0}"
# Packages, commands before and after their installation, a program, the image's configuration.
APPS = {
    "nginx": ("nginx-light", "true", "ln -sf /dev/stdout /var/log/nginx/access.log; ln -sf /dev/stderr /var/log/nginx/error.log", None,
              {"Env": [f"PATH={PATH}"], "Cmd": ["nginx", "-g", "daemon off;"], "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT"}),
    "redis": ("redis-server", USER.format("redis", "/data"), "install -d -o redis -g redis /data", SERVE_REDIS,
              {"Env": [f"PATH={PATH}"], "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["redis-server", "--protected-mode", "no"],
               "ExposedPorts": {"6379/tcp": {}}, "Volumes": {"/data": {}}, "WorkingDir": "/data",
               "Healthcheck": {"Test": ["CMD-SHELL", "redis-cli ping | grep -q PONG"], "Interval": 2 * 10**9, "Timeout": 3 * 10**9, "Retries": 3}}),
    "postgres": ("postgresql-15", USER.format("postgres", "/var/lib/postgresql") + "; mkdir /etc/postgresql-common; "
                 "echo create_main_cluster=false >/etc/postgresql-common/createcluster.conf",
                 "install -d -m 700 -o postgres -g postgres /var/lib/postgresql/data; install -d -m 3777 -o postgres -g postgres /var/run/postgresql; "
                 r"""sed -i "s/^#\?listen_addresses.*/listen_addresses = '*'/" /usr/share/postgresql/15/postgresql.conf.sample""", SERVE_POSTGRES,
                 {"Env": [f"PATH=/usr/lib/postgresql/15/bin:{PATH}", "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"],
                  "Entrypoint": ["docker-entrypoint.sh"], "Cmd": ["postgres"], "ExposedPorts": {"5432/tcp": {}},
                  "Volumes": {"/var/lib/postgresql/data": {}}, "StopSignal": "SIGINT"}),
}
# Unpacked, not installed: sources, texts, pages, programs, pictures, in the proportions of real images.
BULK = ("python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3-pip python3-setuptools python3-numpy",
        "perl-modules-5.36 libperl5.36 perl-doc", "git git-doc git-man", "postgresql-15 postgresql-doc-15", "libreoffice-common", "emacs-el",
        "libruby3.1 ruby3.1-doc", "vim-runtime sqlite3-doc")


def run(*command, **more):
    """Output is shown only when it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:3]))} … failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


class Apt:
    """Asks this machine's mirrors, through its proxy, and keeps all else in `desk`."""

    def __init__(self, desk):
        self.desk, self.mirrors = desk, {}
        listed = run("apt-get", "indextargets", "-o", "APT::Get::IndexTargets::ReleaseInfo=false", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
        for uri, release in (line.split() for line in listed.splitlines()):
            for kind, suites in SUITES.items():
                if release == suites[0]:
                    self.mirrors.setdefault(kind, uri.rstrip("/"))
        for folder in ("lists/partial", "cache/archives/partial"):
            (desk / folder).mkdir(parents=True)
        self.sources = [f"deb [signed-by={KEYRING}] {uri} {suite} main" for kind, uri in self.mirrors.items() for suite in SUITES[kind]]
        (desk / "sources.list").write_text("\n".join(self.sources) + "\n")
        self.network = run("apt-config", "dump", "--format", '%F "%v";%n', "Acquire")
        (desk / "network.conf").write_text(self.network)
        run(*self.get(desk), "update")

    def get(self, desk, status="/dev/null"):
        options = {"Dir::Etc::SourceList": f"{desk}/sources.list", "Dir::State::Lists": f"{desk}/lists", "Dir::Cache": f"{desk}/cache", "Dir::State::status": status}
        options |= {f"Dir::Etc::{part}": "/dev/null" for part in ("SourceParts", "Preferences", "PreferencesParts")}
        options |= {"APT::Install-Recommends": "false", "APT::Sandbox::User": "root", "Acquire::Retries": "3", "Acquire::Languages": "none", "Debug::NoLocking": "true"}
        return ["apt-get", "-qq", "-y", *(word for pair in options.items() for word in ("-o", "=".join(pair)))]

    def unpack(self, packages, root):
        debs = root.with_name(f"{root.name}.debs")
        debs.mkdir()
        run(*self.get(self.desk), "download", *packages.split(), cwd=debs)
        for deb in sorted(debs.iterdir()):
            run("dpkg", "-x", deb, root)
        return root

    def secrets(self):
        """What would give this machine away."""
        uris = [*self.mirrors.values(), *re.findall(r'Proxy\S* "(\w+://[^"]+)"', self.network)]
        resolvers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.M) if Path("/etc/resolv.conf").exists() else []
        hosts = [urllib.parse.urlsplit(uri).netloc for uri in uris] + [one for one in resolvers if not one.startswith("127.")]
        return [host.encode() for host in hosts if host and host != "deb.debian.org"]


def busybox(apt, work):
    root = work / "busybox"
    for folder in ("bin", "etc", "root", "tmp", "var", "usr", "home"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    program = root / "bin/busybox"
    shutil.copy(apt.unpack("busybox-static", work / "busybox-static") / "bin/busybox", program)
    for applet in run(program, "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nwww:x:1000:1000::/home:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\nwww:x:1000:\n")
    return pack(root, work / "busybox.tar")


def debian(apt, work):
    """The root folder of a small Debian."""
    root = work / "debian"
    program = shutil.which("mmdebstrap") or apt.unpack("mmdebstrap", work / "mmdebstrap") / "usr/bin/mmdebstrap"
    run("unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"', "sh", program, "--variant=minbase", "--mode=root",
        f"--aptopt={apt.desk}/network.conf", SUITE, root, *apt.sources, env={**os.environ, "SOURCE_DATE_EPOCH": str(NEWEST)})
    (root / "etc/apt/sources.list.d/debian.sources").write_text("\n".join(
        f"Types: deb\nURIs: http://deb.debian.org/{kind}\nSuites: {' '.join(suites)}\nComponents: main\nSigned-By: {KEYRING}\n" for kind, suites in SUITES.items()))
    return root


def debian_layer(apt, root, work):
    return pack(root, work / "debian.tar", LEAVE_OUT, apt.secrets())


def app_layer(apt, root, app, work):
    """What an installation changes, as an overlay over the base; it runs without network and services."""
    packages, before, after, program, _ = APPS[app]
    upper, inner, merged = (work / name for name in ("upper", "inner", "merged"))
    for folder in (upper, inner, merged):
        folder.mkdir()
    run(*apt.get(apt.desk, f"{root}/var/lib/dpkg/status"), "install", "--download-only", *packages.split())
    install = " ".join([*apt.get("/tmp", "/var/lib/dpkg/status"), "--no-download", "install", packages])
    script = f"""set -e
hostname localhost
mount -t overlay overlay -o lowerdir={root},upperdir={upper},workdir={inner},redirect_dir=off,metacopy=off,index=off {merged}
mount -t proc proc {merged}/proc; mount --rbind /dev {merged}/dev; mount --bind {apt.desk} {merged}/tmp
printf '#!/bin/sh\\nexit 101\\n' >{merged}/usr/sbin/policy-rc.d; chmod +x {merged}/usr/sbin/policy-rc.d
chroot {merged} sh -ec "$BEFORE"; chroot {merged} {install}; chroot {merged} sh -ec "$AFTER"
rm {merged}/usr/sbin/policy-rc.d"""
    run("unshare", "--mount", "--uts", "--net", "--ipc", "--pid", "--fork", "--kill-child", "bash", "-c", script, env={
        "PATH": PATH, "BEFORE": before, "AFTER": after, "DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": str(NEWEST), "LC_ALL": "C.UTF-8",
        "DPKG_FORCE": "unsafe-io"})
    if program:
        place = upper / "usr/local/bin/docker-entrypoint.sh"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(program)
        place.chmod(0o755)
    return pack(upper, work / f"{app}.tar", LEAVE_OUT, apt.secrets())


def bulk(apt, work):
    layers = [pack(apt.unpack(packages, work / f"bulk{number}"), work / f"bulk{number}.tar") for number, packages in enumerate(BULK)]
    return [busybox(apt, work), *layers]
