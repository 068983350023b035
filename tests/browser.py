#!/usr/bin/env python3
"""What a person does in the browser, in a real headless Chromium driven over WebDriver (W3C), no library needed.

    tests/browser.py URL USER PASSWORD FOLDER      signs in and uses the pages; screenshots go to FOLDER

Ends non-zero with a sentence at the first thing that is not as promised."""
import base64, http.client, json, pathlib, shutil, subprocess, sys, tempfile, time

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    def __init__(self, width=1440, height=900, dark=False):
        self.profile = tempfile.mkdtemp(prefix="sampan-browser-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.port = int(line.rstrip().rstrip(".").split()[-1])
                break
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", f"--user-data-dir={self.profile}", f"--window-size={width},{height}"]
        if dark:
            flags.append("--force-dark-mode")
        options = {"args": flags}
        if width < 500:
            options["mobileEmulation"] = {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2.0}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(f"{path}: {value['error']}: {value.get('message', '')[:300]}")
        return value

    def on(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def open(self, url): self.on("POST", "/url", {"url": url})
    def address(self): return self.on("GET", "/url")
    def script(self, text, *arguments): return self.on("POST", "/execute/sync", {"script": text, "args": list(arguments)})
    def text(self): return self.script("return document.body.innerText")

    def find(self, css):
        return self.on("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        element = self.find(css)
        self.script("arguments[0].scrollIntoView({block: 'center'})", {ELEMENT: element})
        self.on("POST", f"/element/{element}/click", {})

    def type(self, css, text):
        element = self.find(css)
        self.on("POST", f"/element/{element}/clear", {})
        self.on("POST", f"/element/{element}/value", {"text": text})

    def keys(self, text):
        actions = [step for c in text for step in ({"type": "keyDown", "value": c}, {"type": "keyUp", "value": c})]
        self.on("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def wait(self, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if what():
                    return
            except RuntimeError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s at {self.address()}: {self.text()[:300]!r} … {self.text()[-500:]!r}")

    def says(self, text, seconds=20): self.wait(lambda: text in self.text(), seconds)

    def picture(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.on("GET", "/screenshot")))

    def complaints(self):
        return [entry["message"] for entry in self.on("POST", "/se/log", {"type": "browser"})
                if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]

    def close(self):
        try:
            self.on("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self): return self
    def __exit__(self, *_): self.close()


def sign_in(browser, url, user, password):
    browser.open(f"{url}/login")
    browser.type("#name", user)
    browser.type("#password", password)
    browser.click("form button.primary")
    browser.wait(lambda: browser.address().rstrip("/") == url.rstrip("/"))


def use(browser, url, folder):
    browser.open(f"{url}/containers/new")
    browser.type("#image", "busybox")
    browser.type("#name", "by-hand")
    browser.type("#command", "sh -c 'echo \"<b>hello</b> browser\"; while :; do date; sleep 1; done'")
    assert "docker run -d --name by-hand busybox" in browser.script("return document.querySelector('[data-command]').textContent")
    browser.click("button[name=start][value=true]")
    browser.wait(lambda: "/containers/" in browser.address() and "/new" not in browser.address())
    page = browser.address()
    browser.says("Isolation")
    browser.picture(f"{folder}/container.png")
    browser.open(f"{page}/logs")
    browser.says("<b>hello</b> browser")
    before = browser.script("return document.querySelectorAll('.log .line').length")
    browser.wait(lambda: browser.script("return document.querySelectorAll('.log .line').length") > before + 1)
    browser.picture(f"{folder}/logs.png")
    browser.open(f"{page}/stats")
    browser.wait(lambda: browser.script("return document.querySelectorAll('.chart canvas').length") == 4)
    time.sleep(3)
    browser.picture(f"{folder}/stats.png")
    browser.open(f"{page}/console")
    browser.click("[data-console] button")
    time.sleep(2)
    browser.click(".terminal-frame")
    browser.keys("echo $((6*7))-walked\ue007")
    browser.wait(lambda: "42-walked" in browser.script("return document.querySelector('.xterm-rows').innerText"))
    browser.picture(f"{folder}/console.png")
    browser.open(f"{url}/containers")
    browser.says("by-hand")
    browser.says("Running")
    browser.picture(f"{folder}/containers.png")
    browser.open(f"{url}/")
    browser.picture(f"{folder}/overview.png")
    for name in ("images", "volumes", "team", "account"):
        browser.open(f"{url}/{name}")
        browser.picture(f"{folder}/{name}.png")
    browser.open(page)
    browser.click("button[name=action][value=stop]")
    browser.wait(lambda: "Exited 137" in browser.text() or "Exited 143" in browser.text(), 30)
    browser.click("a.danger")
    browser.click("button.final")
    browser.says("by-hand removed")
    browser.open(page)
    browser.says("Nothing is here")


def other_language(browser, url, folder):
    browser.open(f"{url}/account")
    browser.script("document.querySelector('#language').value = 'zh-CN'")
    browser.script("document.querySelector('#language').form.querySelector('button').click()")
    browser.says("概览")
    browser.open(f"{url}/containers")
    browser.says("新建容器")
    browser.picture(f"{folder}/containers-zh.png")
    browser.open(f"{url}/account")
    browser.script("document.querySelector('#language').value = 'en'")
    browser.script("document.querySelector('#language').form.querySelector('button').click()")
    browser.says("Overview")


def main():
    url, user, password, folder = sys.argv[1:5]
    with Browser() as browser:
        sign_in(browser, url, user, password)
        use(browser, url, folder)
        other_language(browser, url, folder)
        complaints = [text for text in browser.complaints() if "404" not in text]
        assert not complaints, f"the browser complains: {complaints}"
    with Browser(390, 844) as browser:
        sign_in(browser, url, user, password)
        for name in ("", "containers", "images", "containers/new"):
            browser.open(f"{url}/{name}")
            wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"/{name} scrolls sideways by {wide} px at 390"
            browser.picture(f"{folder}/390-{name.replace('/', '-') or 'overview'}.png")
    print("the pages do what they say")


if __name__ == "__main__":
    main()
