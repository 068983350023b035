"""The image of a guest: a Debian root file system, its kernel and a small initramfs, made without privileges of a VM.

One folder of the cache for each suite and recipe: `root.qcow2`, `kernel`, `initramfs`. The folder's name carries a
digest of this file and of the agent, so that a changed recipe makes a new image.
"""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("SAMPAN_VM_CACHE") or pathlib.Path.home() / ".cache/sampan-vm")
PACKAGES = [
    "linux-image-amd64",  # the cloud kernel has no 9p
    "systemd", "systemd-sysv", "dbus", "udev", "kmod",
    "apparmor", "busybox-static", "ca-certificates", "curl", "e2fsprogs", "erofs-utils", "iproute2", "nftables",
    "openssl", "procps", "python3-minimal", "libpython3-stdlib", "xfsprogs",
]
DISK = "12G"
# What would start by itself and only costs time.
MASKED = [
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "getty@tty1.service",
]
AGENT_UNIT = """[Unit]
Description=Runs what the host sends
[Service]
ExecStart=/usr/local/sbin/vm-agent
Environment=HOME=/root LANG=C.UTF-8
KillMode=process
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
[Install]
WantedBy=multi-user.target
"""
CONSOLE_LOGIN = "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I xterm\n"
# Mounts the root disk and goes on there. Debian's own initramfs takes four times as long under emulation.
INIT = """#!/bin/sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod /modules/$module; done </order
until [ -b /dev/vda ]; do $b usleep 20000; done
$b mount -t ext4 -o rw,prjquota /dev/vda /root || $b poweroff -f
$b mount --move /dev /root/dev
exec $b switch_root /root /sbin/init
"""
# Runs inside the new root: enables units, and lays kernel and initramfs into /boot-files.
FINISH = r"""set -e
systemctl enable vm-agent 2>/dev/null
systemctl disable apparmor 2>/dev/null || true
systemctl mask $MASKED 2>/dev/null
release=$(ls /lib/modules | tail -n 1)
mkdir -p /boot-files/tree/bin /boot-files/tree/dev /boot-files/tree/modules /boot-files/tree/root
cd /boot-files/tree
cp "/boot/vmlinuz-$release" ../kernel
cp /bin/busybox bin/; ln -s busybox bin/sh
for name in virtio_pci virtio_blk crc32c_generic ext4 quota_v2; do
    # A module that is built in shows nothing.
    modprobe -S "$release" --show-depends "$name" 2>/dev/null | sed -n 's/^insmod //p' || true
done | while read -r file _; do
    name=$(basename "$file" .xz)
    [ ! -e "modules/$name" ] || continue
    case $file in *.xz) busybox unxz -c "$file" ;; *) cat "$file" ;; esac >"modules/$name"
    echo "$name" >>order
done
cp /init-of-initramfs init; chmod +x init; rm /init-of-initramfs
find . | busybox cpio -o -H newc >../initramfs 2>/dev/null
"""


def files():
    """What is laid into the root, by path."""
    return {
        "etc/hostname": "guest\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 guest\n",
        "etc/fstab": "",
        "etc/systemd/system/vm-agent.service": AGENT_UNIT,
        "etc/systemd/system/serial-getty@ttyS0.service.d/login.conf": CONSOLE_LOGIN,
        "usr/local/sbin/vm-agent": (HERE / "agent.py").read_text(),
        "init-of-initramfs": INIT,
    }


def folder(suite):
    """Where the image of `suite` lies, whether it is there or not."""
    recipe = repr((PACKAGES, DISK, MASKED, FINISH, files()))
    return CACHE / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def make(suite):
    """Makes the image of `suite`; whole or not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="make-", dir=CACHE) as work:
        root = pathlib.Path(work, "root")
        left_out = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "doc", "locale")]
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *left_out, suite, root,
            env={**os.environ, "INITRD": "No"})
        for path, text in files().items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (root / "usr/local/sbin/vm-agent").chmod(0o755)
        run("chroot", root, "sh", "-c", FINISH, env={**os.environ, "MASKED": " ".join(MASKED)})
        made = pathlib.Path(work, "made")
        shutil.move(root / "boot-files", made)
        shutil.rmtree(made / "tree")
        run("mke2fs", "-q", "-t", "ext4", "-O", "quota,project", "-E", "quotatype=prjquota", "-d", root,
            f"{work}/raw", DISK, stdout=subprocess.DEVNULL)
        run("qemu-img", "convert", "-O", "qcow2", f"{work}/raw", made / "root.qcow2")
        for old in CACHE.glob(f"{suite}-*"):
            shutil.rmtree(old)
        made.rename(folder(suite))


def run(*command, **more):
    subprocess.run([str(word) for word in command], check=True, **more)
