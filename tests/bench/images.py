"""Images on their way: pull and push against a registry on this machine, the registry inside, memory meanwhile."""
import base64, hashlib, http.client, json, os, pathlib, re, shutil, socket, statistics, subprocess, tempfile, threading, time

SIZE = 1 << 30
CLIENTS = pathlib.Path.home() / ".cache/sampan-clients/bin"


class Registry:
    """Debian's docker-registry on a free loopback port with a folder of its own."""

    def __init__(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="sampan-bench-registry-", dir="/var/tmp"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        config = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(self.work / "store")}}, "http": {"addr": self.host}}
        (self.work / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        self.log = open(self.work / "log", "w+")
        self.server = subprocess.Popen(["docker-registry", "serve", self.work / "config.yml"], stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(100):
            try:
                socket.create_connection(self.host.split(":")).close()
                break
            except OSError:
                time.sleep(0.1)

    def blobs_sent(self):
        return len(re.findall(r'^\S+ - - \[[^]]*\] "GET /v2/\S+/blobs/\S+ HTTP/1.1" 200', (self.work / "log").read_text(), re.M))

    def close(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.work)


def connect(api):
    """Another connection to the same engine."""
    return type(api)(api.path)


def pull(api, name):
    """Seconds of a pull that had to fetch every layer but that of busybox, which is there."""
    begin = time.perf_counter()
    api.request("POST", f"/v1.41/images/create?fromImage={name}&tag=latest")
    text = api.getresponse().read().decode()
    seconds = time.perf_counter() - begin
    if '"error"' in text or text.count("Already exists") > 1:
        raise RuntimeError(f"pull of {name}: {text[-300:]}")
    return seconds


def push(api, name):
    nobody = base64.urlsafe_b64encode(b"{}").decode()
    begin = time.perf_counter()
    api.request("POST", f"/v1.41/images/{name}/push?tag=latest", headers={"X-Registry-Auth": nobody})
    text = api.getresponse().read().decode()
    seconds = time.perf_counter() - begin
    if '"error"' in text:
        raise RuntimeError(f"push of {name}: {text[-300:]}")
    return seconds


def forget(engine, *names):
    """Removes the images and waits until their layers are gone."""
    for name in names:
        engine.api.call("DELETE", f"/v1.41/images/{name}:latest?force=1", ok=(200, 404))
    time.sleep(3)


class Peak(threading.Thread):
    """The most memory that an engine's processes had together, in KiB, while the block ran."""

    def __init__(self, measure):
        super().__init__(daemon=True)
        self.measure, self.most, self.over = measure, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.measure())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def seconds(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def bench_pull(report, engines, images, pss):
    registry = Registry()
    try:
        subprocess.run([shutil.which("skopeo") or CLIENTS / "skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{images / 'bulk.tar'}", f"docker://{registry.host}/bulk:latest"], check=True)
        name = f"{registry.host}/bulk"
        rows = {what: {} for what in ("pull", "known", "new", "peak", "ten")}
        for engine in engines:
            # First: who has pulled a layer knows its packed digest, and need not pack it.
            fresh = f"{registry.host}/{engine.name.lower()}"
            with open(images / "bulk.tar", "rb") as archive:
                engine.api.request("POST", "/v1.41/images/load", archive, {"Content-Type": "application/x-tar", "Content-Length": str((images / "bulk.tar").stat().st_size)})
                engine.api.getresponse().read()
            engine.api.call("POST", f"/v1.41/images/bulk:latest/tag?repo={fresh}&tag=latest")
            rows["new"][engine.name] = [push(engine.api, fresh)]
            forget(engine, "bulk", fresh)
            values = []
            for _ in range(3):
                values.append(pull(engine.api, name))
                forget(engine, name)
            rows["pull"][engine.name] = values
            with Peak(lambda: pss(engine.processes)) as peak:
                pull(engine.api, name)
            rows["peak"][engine.name] = f"{peak.most / 1024:.0f}"
            rows["known"][engine.name] = [push(engine.api, name) for _ in range(5)]
            forget(engine, name)
            before, errors = registry.blobs_sent(), []

            def one(api):
                try:
                    api.request("POST", f"/v1.41/images/create?fromImage={name}&tag=latest")
                    text = api.getresponse().read().decode()
                    if '"error"' in text:
                        errors.append(text[-300:])
                except OSError as error:
                    errors.append(str(error))

            clients = [threading.Thread(target=one, args=(connect(engine.api),)) for _ in range(10)]
            begin = time.perf_counter()
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            taken = time.perf_counter() - begin
            if errors:
                raise RuntimeError(f"ten pulls by {engine.name}: {errors[0]}")
            rows["ten"][engine.name] = f"{taken:.2f} s, {registry.blobs_sent() - before} blobs"
            forget(engine, name)
    finally:
        registry.close()
    for what, row in (("pull of bulk (9 layers, 447 MB, gzip), s", "pull"), ("push of it when the registry has it, s", "known"), ("push of it to a new repository, loaded from a file, s", "new")):
        report.row(what, {name: seconds(values) for name, values in rows[row].items()}, {name: statistics.median(values) for name, values in rows[row].items()})
    report.row("most memory while pulling it, own processes, PSS MiB", rows["peak"])
    report.row("ten pulls of it at once by ten clients; blobs fetched (each layer once; each pull asks for the configuration)", rows["ten"])


def send(host, path, file, headers):
    """A PUT whose body goes by sendfile(2): the status."""
    address, port = host.split(":")
    with socket.create_connection((address, int(port))) as connection:
        lines = [f"PUT {path} HTTP/1.1", f"Host: {host}", "Connection: close", *[f"{key}: {value}" for key, value in headers.items()]]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        file.seek(0)
        connection.sendfile(file)
        return int(connection.recv(4096).split()[1])


def bare(file):
    """MB/s of the same bytes over loopback into sha256."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            with socket.create_connection(listener.getsockname()) as connection:
                file.seek(0)
                connection.sendfile(file)
            os._exit(0)
        digest, buffer = hashlib.sha256(), bytearray(1 << 20)
        connection, _ = listener.accept()
        with connection:
            while got := connection.recv_into(buffer):
                digest.update(memoryview(buffer)[:got])
        os.waitpid(pid, 0)
        return SIZE / 1e6 / (time.perf_counter() - begin)


def download(host, path, headers):
    address, port = host.split(":")
    with socket.create_connection((address, int(port))) as connection:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *[f"{key}: {value}" for key, value in headers.items()]]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        buffer, total = bytearray(1 << 20), 0
        while got := connection.recv_into(buffer):
            total += got
        return total


def bench_registry(report, sampan, target, pss):
    """One blob of 1 GiB into the registry inside and out again."""
    peer = Registry()
    work = pathlib.Path(tempfile.mkdtemp(prefix="sampan-bench-blob-", dir="/var/tmp"))
    try:
        with open(work / "blob", "wb+") as file:
            for _ in range(SIZE >> 20):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
            admin = [target / "sampan", "admin"]
            subprocess.run([*admin, "create-user", "bench", "--admin", "--password-stdin", "--data-root", sampan.data], input=b"a long enough pass phrase 7", check=True, capture_output=True)
            subprocess.run([*admin, "add-member", "default", "bench", "owner", "--data-root", sampan.data], check=True, capture_output=True)
            token = subprocess.run([*admin, "create-token", "bench", "--team", "default", "--data-root", sampan.data], check=True, capture_output=True, text=True).stdout.split()[-1]
            basic = {"Authorization": "Basic " + base64.b64encode(f"bench:{token}".encode()).decode()}

            def bearer():
                ask = http.client.HTTPConnection(sampan.http)
                ask.request("GET", "/v2/token?service=" + sampan.http + "&scope=repository:default/blob:pull,push", headers=basic)
                answer = json.loads(ask.getresponse().read())
                return {"Authorization": "Bearer " + answer.get("token", answer.get("access_token"))}

            up, down, most = {}, {}, 0
            rate = statistics.median([bare(file) for _ in range(3)])
            for name, host, who in (("Sampan", sampan.http, bearer), ("docker-registry", peer.host, dict)):
                ups, downs = [], []
                for turn in range(3):
                    ask = http.client.HTTPConnection(host)
                    repository = "default/blob" if name == "Sampan" else f"blob{turn}"
                    ask.request("POST", f"/v2/{repository}/blobs/uploads/", headers=who())
                    answer = ask.getresponse()
                    answer.read()
                    place = answer.getheader("Location")
                    assert answer.status == 202, answer.status
                    place = re.sub(r"^https?://[^/]+", "", place)
                    begin = time.perf_counter()
                    with Peak(lambda: pss(sampan.processes)) as peak:
                        status = send(host, place + ("&" if "?" in place else "?") + "digest=" + digest, file, {**who(), "Content-Type": "application/octet-stream", "Content-Length": str(SIZE)})
                    ups.append(SIZE / 1e6 / (time.perf_counter() - begin))
                    assert status == 201, status
                    begin = time.perf_counter()
                    got = download(host, f"/v2/{repository}/blobs/{digest}", who())
                    downs.append(SIZE / 1e6 / (time.perf_counter() - begin))
                    assert got > SIZE, got
                    most = max(most, peak.most if name == "Sampan" else 0)
                    ask.request("DELETE", f"/v2/{repository}/blobs/{digest}", headers=who())
                    ask.getresponse().read()
                up[name], down[name] = f"{statistics.median(ups):.0f}", f"{statistics.median(downs):.0f}"
        what = f"MB/s of a blob of 1 GiB; loopback into sha256 {rate:.0f}"
        report.note(f"registry inside, upload, {what}", f"{up['Sampan']} (docker-registry {up['docker-registry']})")
        report.note("registry inside, download, MB/s", f"{down['Sampan']} (docker-registry {down['docker-registry']})")
        report.note("most memory while it is uploaded, PSS MiB", f"{most / 1024:.0f}")
    finally:
        peer.close()
        shutil.rmtree(work)
