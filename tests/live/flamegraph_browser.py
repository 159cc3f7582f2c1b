#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Drives the flame graph page in a real Chromium over its debugging pipe: zoom, search, keyboard,
hostile names, no requests, speed. Usage: flamegraph_browser.py RENDER [SCREENSHOT_DIR]
Exit code 0: all checks passed, 1: one failed, 77: no Chromium here.
"""
import base64
import gzip
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

HOSTILE = "</script><script>window.pwned=1;alert(1)</script>"
IMAGE = "\"><img src=x onerror=window.pwned=1> & 'quoted' ]]>"
PERIOD = 10_000_000
KEY_CODES = {"Enter": 13, "Escape": 27, "Backspace": 8, "ArrowLeft": 37, "ArrowUp": 38,
             "ArrowRight": 39, "ArrowDown": 40}


# ---- A pprof file, written without any of the code under test ----------------------------------

def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n) if n else b""


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


class Pprof:
    def __init__(self):
        self.strings, self.frames, self.mappings, self.samples = {"": 0}, {}, {}, []

    def string(self, s):
        return self.strings.setdefault(s, len(self.strings))

    def frame(self, name, module):
        if module:
            self.mappings.setdefault(module, len(self.mappings) + 1)
        return self.frames.setdefault((name, module), len(self.frames) + 1)

    def add(self, comm, pid, stack, count):
        """stack: root first, (name, module) each."""
        ids = [self.frame(*f) for f in reversed(stack)]
        self.samples.append((comm, pid, ids, count))

    def write(self, path):
        cpu, ns, pid, comm, event, clock = map(
            self.string, ("cpu", "nanoseconds", "pid", "comm", "event", "cpu-clock"))
        out = [message(1, number(1, cpu) + number(2, ns))]
        for c, p, ids, count in self.samples:
            out.append(message(2, message(1, b"".join(map(varint, ids))) +
                               message(2, varint(count * PERIOD)) +
                               message(3, number(1, pid) + number(3, p)) +
                               message(3, number(1, comm) + number(2, self.string(c))) +
                               message(3, number(1, event) + number(2, clock))))
        for module, i in self.mappings.items():
            out.append(message(3, number(1, i) + number(5, self.string(module)) + number(7, 1)))
        for (name, module), i in self.frames.items():
            out.append(message(4, number(1, i) + number(2, self.mappings.get(module, 0)) +
                               number(3, i * 16) + message(4, number(1, i))))
            out.append(message(5, number(1, i) + number(2, self.string(name))))
        out += [message(6, s.encode()) for s in self.strings]
        out.append(number(10, 2 * 10**9) + message(11, number(1, cpu) + number(2, ns)) +
                   number(12, PERIOD))
        with gzip.open(path, "wb") as f:
            f.write(b"".join(out))


def small():
    p = Pprof()
    web = "/usr/bin/web"
    p.add("web", 10, [("main", web), ("serve", web), ("parse", web)], 50)
    p.add("web", 10, [("main", web), ("serve", web), ("sys_read", "[kernel]")], 10)
    p.add("job", 20, [("main", "/usr/bin/job"), (HOSTILE, IMAGE)], 30)
    p.add(IMAGE, 30, [("[no unwind rule]", ""), ("f\u00fcr_\U0001f525", "/usr/bin/x")], 10)
    return p


def large():
    p, seed = Pprof(), 1
    for i in range(3500):
        stack = []
        for depth in range(24):
            seed = (seed * 1103515245 + 12345) & 0x7fffffff
            stack.append((f"module::part::function_{(seed >> 8) % (2 + depth * 12)}", f"/lib/m{depth}.so"))
        p.add("big", 1, stack, 1 + i % 5)
    return p


# ---- Chromium ----------------------------------------------------------------------------------

class Browser:
    def __init__(self, program):
        self.home = tempfile.mkdtemp(prefix="flamegraph_browser.")
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()

        def wire():
            # Chromium reads commands from fd 3 and answers on fd 4; first out of the way of both.
            a, b = os.dup2(to_read, 60), os.dup2(back_write, 61)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--user-data-dir=" + self.home, "--remote-debugging-pipe",
             "--window-size=1200,700", "about:blank"],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(back_write)
        self.session, self.last, self.buffer, self.events = None, 0, b"", []
        page = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"][0]
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"],
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=1200, height=700,
                  deviceScaleFactor=1, mobile=False)
        self.media("light")

    def read(self):
        while b"\0" not in self.buffer:
            if not select.select([self.back], [], [], 60)[0]:
                raise RuntimeError("Chromium does not answer")
            data = os.read(self.back, 1 << 20)
            if not data:
                raise RuntimeError("Chromium ended")
            self.buffer += data
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.last += 1
        command = {"id": self.last, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.to, json.dumps(command).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        self.events.clear()
        self.call("Page.navigate", url="file://" + path)
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self.read())

    def js(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                      awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(f"{expression}: {r['exceptionDetails']}")
        return r["result"].get("value")

    def media(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def key(self, key):
        event = {"key": key}
        if key in KEY_CODES:
            event["windowsVirtualKeyCode"] = KEY_CODES[key]
        else:
            event["text"] = key
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text):
        for c in text:
            self.key(c)

    def mouse(self, x, y, click=False):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        self.session = None
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)


# ---- Checks ------------------------------------------------------------------------------------

class Page:
    """The open page, in the words of a user."""

    def __init__(self, browser):
        self.b, self.failures = browser, 0

    def check(self, what, have, want):
        if have != want:
            self.failures += 1
            print(f"not ok - {what}\n    have {have!r}\n    want {want!r}")
        else:
            print(f"ok - {what}")

    def node(self, name):
        return self.b.js(f"""[...tephra.model.frame].findIndex((f) =>
            frameName(tephra.model, f) === {json.dumps(name)})""")

    def middle(self, name):
        return self.b.js(f"""(() => {{ const r = tephra.rectOf({self.node(name)});
            const box = tephra.state.canvas.getBoundingClientRect();
            return [box.x + r.x + r.width / 2, box.y + r.y + r.height / 2]; }})()""")

    def width(self, name):
        return self.b.js(f"Math.round(tephra.rectOf({self.node(name)}).width)")

    def text(self, selector):
        return self.b.js(f"document.querySelector({json.dumps(selector)}).textContent")

    def value(self, expression):
        return self.b.js(expression)

    def quiet(self, what):
        self.b.js("new Promise((done) => setTimeout(done, 50))")
        bad = [e for e in self.b.events if e["method"] in (
            "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening",
            "Runtime.consoleAPICalled")]
        self.check(what + ": no error, no message, no dialog", bad, [])
        requests = [e["params"]["request"]["url"] for e in self.b.events
                    if e["method"] == "Network.requestWillBeSent"]
        self.check(what + ": no request but the file itself",
                   [r for r in requests if not r.startswith("file:///")], [])
        self.check(what + ": one request", len(requests), 1)
        self.check(what + ": no name was run as code", self.b.js("typeof window.pwned"), "undefined")


def look_around(page, what):
    b, canvas = page.b, page.value("tephra.state.width")

    page.check(what + ": title", page.text(".tp-title"), "a <b>host</b>")
    page.check(what + ": facts", all(t in page.text(".tp-facts") for t in (
        "cpu-clock at 100\u2009Hz", "2.00\u2009s", "100", "0.50 cores", "90.0\u2009%")), True)
    page.check(what + ": the root is as wide as the view", page.width("all"), canvas)
    page.check(what + ": widths are shares", abs(page.width("serve") - canvas * .6) <= 1, True)
    page.check(what + ": a box has its colour", page.value(f"""(() => {{
        const g = tephra.state, r = tephra.rectOf({page.node('serve')});
        const p = g.context.getImageData(r.x + r.width - 12, r.y + 3, 1, 1).data;
        return '#' + [p[0], p[1], p[2]].map((v) => v.toString(16).padStart(2, '0')).join('');
        }})()"""), page.value(f"""tephra.model.data.palette.light[
        frameColour(tephra.model, tephra.model.frame[{page.node('serve')}])]"""))
    page.check(what + ": gaps are a kind of their own", page.value(f"""frameKind(tephra.model,
        tephra.model.frame[{page.node('[no unwind rule]')}]) === KIND_GAP"""), True)


def hostile_names(page, what):
    b = page.b

    b.mouse(*page.middle(HOSTILE))
    page.check(what + ": a hostile name is shown as it is", page.text(".tp-tip h2"), HOSTILE)
    page.check(what + ": and its module", IMAGE in page.text(".tp-tip p"), True)
    page.check(what + ": samples in the tip", "30" in page.text(".tp-tip dl"), True)
    b.mouse(*page.middle(HOSTILE), click=True)
    b.key("f")
    page.check(what + ": it is text in the breadcrumb", HOSTILE in page.text(".tp-crumbs"), True)
    page.check(what + ": and in the table", HOSTILE in page.text(".tp-side tbody"), True)
    b.key("f")
    b.key("Escape")
    page.check(what + ": a process of that name too",
               IMAGE[:30] in page.text(".tp-trail select"), True)


def zooming(page, what):
    b, canvas = page.b, page.value("tephra.state.width")

    b.mouse(*page.middle("serve"), click=True)
    page.check(what + ": a click zooms", page.width("serve"), canvas)
    page.check(what + ": the breadcrumb", page.text(".tp-crumbs"), "all\u203aweb\u203amain\u203aserve")
    page.check(what + ": the process is selected", page.value(
        "tephra.state.processes.selectedOptions[0].textContent"), "web  60.0\u2009%")
    b.js("document.querySelectorAll('.tp-crumbs button')[1].click()")
    page.check(what + ": the breadcrumb leads back", page.width("web"), canvas)
    b.js("""(() => { const s = tephra.state.processes;
        s.value = s.options[2].value; s.dispatchEvent(new Event('change')); })()""")
    page.check(what + ": a process can be chosen", page.width("job"), canvas)
    b.js("tephra.state.canvas.focus()")
    b.key("Backspace")
    page.check(what + ": Backspace zooms out", page.value("tephra.state.zoom"), 0)


def keyboard(page, what):
    b = page.b

    b.js("tephra.state.canvas.focus()")
    focus = lambda: page.value("frameName(tephra.model, tephra.model.frame[tephra.state.focus])")
    for key, want in (("ArrowDown", "web"), ("ArrowRight", "job"), ("ArrowLeft", "web"),
                      ("ArrowDown", "main"), ("ArrowDown", "serve"), ("ArrowDown", "parse"),
                      ("ArrowRight", "sys_read"), ("ArrowUp", "serve")):
        b.key(key)
        page.check(f"{what}: {key} goes to {want}", focus(), want)
    page.check(what + ": the focus is announced", page.text(".tp-quiet"),
               "serve, 60.0\u2009%, 60 samples")
    b.key("Enter")
    page.check(what + ": Enter zooms", page.value("tephra.state.zoom"), page.node("serve"))
    b.key("Escape")
    page.check(what + ": Esc resets", page.value("tephra.state.zoom"), 0)
    b.key("?")
    page.check(what + ": ? helps", page.value("tephra.state.help.hidden"), False)
    b.key("Escape")
    page.check(what + ": Esc closes the help", page.value("tephra.state.help.hidden"), True)
    top = page.middle("all")[1]
    b.key("i")
    page.check(what + ": i turns it over", page.middle("all")[1] > top + 100, True)
    b.mouse(*page.middle("parse"))
    page.check(what + ": the pointer finds boxes there too", page.text(".tp-tip h2"), "parse")
    b.key("i")
    b.key("t")
    page.check(what + ": t is dark", page.value("tephra.state.root.dataset.theme"), "dark")
    b.key("t")


def searching(page, what):
    b = page.b
    found = lambda: page.text(".tp-found")

    b.key("/")
    b.type("SERVE")
    page.check(what + ": search finds, whatever the case", found(), "60.0\u2009%")
    page.check(what + ": letters do not act as keys while typing", page.value("tephra.state.dark"), False)
    b.key("Enter")
    page.check(what + ": Enter goes to the match", page.value("tephra.state.focus"), page.node("serve"))
    b.key("Escape")
    page.check(what + ": Esc ends the search", [found(), page.value("tephra.state.hits")], ["", None])
    b.js("tephra.state.mode.click()")
    b.key("/")
    b.type("^(parse|sys_)")
    page.check(what + ": a regular expression", found(), "60.0\u2009%")
    b.type("(")
    page.check(what + ": a broken one says so", found(), "not a pattern")
    b.key("Escape")
    b.js("tephra.state.mode.getAttribute('aria-pressed') === 'true' && tephra.state.mode.click()")
    b.key("/")
    b.type("</script>")
    page.check(what + ": a hostile name is found as text", found(), "30.0\u2009%")
    b.key("Escape")
    b.key("f")
    page.check(what + ": the hottest function", page.text(".tp-side tbody tr"),
               "50.0\u2009%50.0\u2009%parse")
    b.js("document.querySelector('.tp-side tbody button').click()")
    page.check(what + ": the table searches", found(), "50.0\u2009%")
    b.key("f")
    b.js("tephra.state.canvas.focus()")
    b.key("Escape")


def policy(page):
    """Even a name that became markup could neither run nor call home."""
    result = page.value("""(async () => {
        const s = document.createElement('script');
        s.textContent = 'window.pwned = 1';
        document.body.append(s);
        const call = await fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused');
        const image = await new Promise((done) => { const i = new Image();
            i.onload = () => done('loaded'); i.onerror = () => done('refused');
            i.src = 'http://127.0.0.1:9/x.png'; });
        return [typeof window.pwned, call, image]; })()""")
    page.check("html: the policy stops foreign scripts, calls and images", result,
               ["undefined", "refused", "refused"])
    blocked = [e for e in page.b.events if e["method"] == "Log.entryAdded" and
               "Content Security Policy" in e["params"]["entry"]["text"]]
    page.check("html: and it was the policy that did", len(blocked) >= 3, True)


def speed(page, path):
    size = os.path.getsize(path)
    nodes = page.value("tephra.model.n")
    median = page.value("""(() => { const times = [];
        for (let i = 0; i < 31; i++) {
            const t = performance.now();
            tephra.state.context.getImageData(0, 0, 1, 1);
            drawGraph(tephra.state);
            tephra.state.context.getImageData(0, 0, 1, 1);
            times.push(performance.now() - t);
        }
        return times.sort((a, b) => a - b)[15]; })()""")
    search = page.value("""(() => { const t = performance.now();
        searchCover(tephra.model, searchFrames(tephra.model, 'function_1', false), 0);
        return performance.now() - t; })()""")
    print(f"# {nodes} nodes, {size} bytes, one picture {median:.1f} ms, one search {search:.1f} ms")
    page.check("large: over 50,000 nodes are kept", nodes > 50000, True)
    page.check("large: the page is under 2 MB", size < 2 << 20, True)
    page.check("large: a picture takes less than 250 ms without a GPU", median < 250, True)


def main():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or \
        shutil.which("google-chrome")
    if not program:
        print("no Chromium here: skipping")
        return 77
    render, shots = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    work = tempfile.mkdtemp(prefix="flamegraph_browser.")
    browser = Browser(program)
    page = Page(browser)
    try:
        small().write(work + "/small.pb.gz")
        large().write(work + "/large.pb.gz")
        for name in ("html", "svg"):
            path = f"{work}/small.{name}"
            subprocess.run([render, work + "/small.pb.gz", path, "--title=a <b>host</b>"], check=True)
            browser.open(path)
            for part in (look_around, hostile_names, zooming, keyboard, searching):
                part(page, name)
            page.quiet(name)
            if shots:
                browser.screenshot(f"{shots}/small-{name}.png")
            if name == "html":
                policy(page)
        subprocess.run([render, work + "/large.pb.gz", work + "/large.html"], check=True)
        browser.open(work + "/large.html")
        page.quiet("large")
        speed(page, work + "/large.html")
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.open(work + "/small.svg")
        root = browser.call("DOM.getDocument")["root"]["nodeId"]
        boxes = browser.call("DOM.querySelectorAll", nodeId=root,
                             selector="#tephra-picture rect")["nodeIds"]
        page.check("svg: without scripts the picture stays", len(boxes), 13)
        if shots:
            browser.screenshot(f"{shots}/picture.png")
    finally:
        browser.close()
        shutil.rmtree(work, ignore_errors=True)
    print(f"# {page.failures} failed")
    return 1 if page.failures else 0


sys.exit(main())
