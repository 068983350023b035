"""One guest: a qemu process that ends with this one, and the conversation with the agent inside."""
import ctypes
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import image

QEMU = "qemu-system-x86_64"
PR_SET_PDEATHSIG = 1


class GuestError(Exception):
    """The guest or qemu failed, not the command."""


class Guest:
    """Boots `disk`, or resumes the memory file `saved` over it."""

    def __init__(self, options, disk, work, saved=None, on_terminal=False):
        self.console = pathlib.Path(work, "console")
        self.resumed = saved is not None
        base = image.folder(options.suite)
        self.monitor, monitor_end = socket.socketpair()
        self.agent, agent_end = socket.socketpair()
        arguments = [
            QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
            "-machine", "pc,usb=off,vmport=off", "-smp", str(options.cpus), "-m", str(options.mem),
            *(["-accel", "kvm", "-cpu", "host"] if options.accel == "kvm"
              # Five-level page tables and nested virtualisation only cost time in emulation.
              else ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off,svm=off"]),
            "-kernel", str(base / "kernel"), "-initrd", str(base / "initramfs"),
            "-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=on tsc=reliable "
                       # On a busy host an emulated boot takes longer than systemd waits for a console.
                       "systemd.show_status=error systemd.default_device_timeout_sec=600",
            "-serial", "mon:stdio" if on_terminal else f"file:{self.console}",
            "-device", "vmgenid,guid=auto",
            "-drive", f"file={disk},if=none,id=root,format=qcow2,cache={'writeback' if options.state else 'unsafe'}",
            "-device", "virtio-blk-pci,drive=root", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=monitor,fd={monitor_end.fileno()}", "-mon", "chardev=monitor,mode=control",
            "-chardev", f"socket,id=agent,fd={agent_end.fileno()}",
            "-device", "virtserialport,chardev=agent,name=sampan.agent",
        ]
        # A booting guest has the shares at once; a resumed one was saved without and gets them plugged in.
        self.plugged = []
        for number, (path, read_only) in enumerate(options.shares):
            read = ",readonly=on" if read_only else ""
            arguments += ["-fsdev", f"local,id=share{number},path={path},security_model=passthrough{read}"]
            self.plugged.append(f"virtio-9p-pci,fsdev=share{number},mount_tag=share{number}")
        if self.resumed:
            arguments += ["-incoming", f"exec:cat {shlex.quote(str(saved))}"]
        else:
            arguments += [word for device in self.plugged for word in ("-device", device)]
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            arguments, pass_fds=[monitor_end.fileno(), agent_end.fileno()], stdin=None if on_terminal else subprocess.DEVNULL,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        monitor_end.close()
        agent_end.close()
        self.monitor_lines = self.monitor.makefile("r")
        self.agent_bytes = self.agent.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait_until_ready(self):
        self.tell_qemu("qmp_capabilities")
        if not self.resumed:
            kind, _ = self.frame()
            if kind != b"r":
                raise GuestError(f"the agent began with {kind}")
            return
        while self.tell_qemu("query-status")["status"] != "running":
            time.sleep(0.02)
        for device in self.plugged:
            said = self.tell_qemu("human-monitor-command", **{"command-line": f"device_add {device}"}).strip()
            if said:
                raise GuestError(said)

    def run(self, argv, folder="/"):
        """Runs one command, passes on what it writes, answers its exit status."""
        self.agent.sendall(json.dumps({"argv": argv, "folder": folder}).encode() + b"\n")
        while True:
            kind, data = self.frame()
            if kind == b"x":
                return int(data)
            stream = sys.stdout if kind == b"o" else sys.stderr
            stream.buffer.write(data)
            stream.buffer.flush()

    def script(self, text):
        return self.run(["bash", "-c", text])

    def frame(self):
        head = self.agent_bytes.read(5)
        if len(head) < 5:
            raise GuestError("the guest ended")
        return head[:1], self.agent_bytes.read(struct.unpack(">I", head[1:])[0])

    def tell_qemu(self, command, **arguments):
        self.monitor.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        for line in self.monitor_lines:
            answer = json.loads(line)
            if "error" in answer:
                raise GuestError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise GuestError("qemu ended")

    def last_words(self):
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else ""


def new_disk(path, backing):
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(backing), str(path)], check=True)


def saved_guest(options):
    """A booted, idle guest of this size and qemu: (disk, memory). Made at its first use."""
    program = shutil.which(QEMU)
    if program is None:
        raise GuestError(f"{QEMU} is not installed: tests/vm/packages installs what is needed")
    build = int(os.stat(program).st_mtime)
    base = image.folder(options.suite)
    name = base / f"saved-{options.accel}-{options.mem}-{options.cpus}-{build}"
    disk, memory = name.with_suffix(".qcow2"), name.with_suffix(".memory")
    if not memory.exists():
        plain = options.without_shares()
        with tempfile.TemporaryDirectory(prefix="save-", dir=image.CACHE) as work:
            new_disk(f"{work}/disk", base / "root.qcow2")
            with Guest(plain, f"{work}/disk", work) as guest:
                guest.wait_until_ready()
                guest.script("systemctl is-system-running --wait >/dev/null; systemctl --failed --no-legend; sync")
                guest.tell_qemu("migrate-set-parameters", **{"max-bandwidth": 1 << 34})
                guest.tell_qemu("migrate", uri=f"exec:cat > {shlex.quote(work)}/memory")
                while (status := guest.tell_qemu("query-migrate").get("status")) != "completed":
                    if status == "failed":
                        raise GuestError("the booted guest could not be saved")
                    time.sleep(0.1)
            pathlib.Path(work, "disk").rename(disk)
            pathlib.Path(work, "memory").rename(memory)
    return disk, memory
