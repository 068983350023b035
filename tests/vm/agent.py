#!/usr/bin/python3
"""Runs inside the guest: one command after the other, as the host sends them over a virtio port.

A request is one line of JSON: {"argv": [...], "folder": "/..."}. Answers are frames: a kind (`r` ready, `o` output,
`e` errors, `x` exit status), four bytes of length, and that many bytes.
"""
import json
import os
import selectors
import struct
import subprocess
import time

PORT = "/dev/virtio-ports/sampan.agent"


def main():
    # The unit starts before udev has named the ports.
    while not os.path.exists(PORT):
        time.sleep(0.1)
    port = os.open(PORT, os.O_RDWR)
    send(port, b"r", b"")
    for line in lines(port):
        request = json.loads(line)
        try:
            send(port, b"x", str(execute(port, request)).encode())
        except OSError as error:
            send(port, b"e", f"vm-agent: {error}\n".encode())
            send(port, b"x", b"127")


def execute(port, request):
    """Runs one command and passes on what it writes; its children may live on, but no longer be heard."""
    process = subprocess.Popen(
        request["argv"], cwd=request["folder"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    selector = selectors.DefaultSelector()
    for stream, kind in ((process.stdout, b"o"), (process.stderr, b"e")):
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ, kind)
    done = False
    while selector.get_map():
        ready = selector.select(timeout=0 if done else 0.2)
        if done and not ready:
            break
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if data:
                send(port, key.data, data)
            else:
                selector.unregister(key.fileobj)
        done = process.poll() is not None
    status = process.wait()
    return status if status >= 0 else 128 - status


def lines(port):
    rest = b""
    while True:
        data = os.read(port, 1 << 16)
        if not data:
            raise SystemExit("the host closed the port")
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def send(port, kind, data):
    frame = kind + struct.pack(">I", len(data)) + data
    while frame:
        frame = frame[os.write(port, frame):]


main()
