# SPDX-License-Identifier: Apache-2.0
"""What it costs to know 5,000 pods of a cluster, and that they come and go."""

import os
import time

import loads
import pprof  # noqa: F401, it knows where tests/live is
import proc
from kube_objects import pod
from kube_server import Fake

PODS = 5000
CONFIG = """
discovery.kubernetes "pods" {{
  role         = "pod"
  api_server   = "{url}"
  bearer_token = "{token}"
  tls_config {{
    ca_file = "{ca}"
  }}
}}
"""


def row(*args):
    from rows import Row  # rows.py imports this file
    return Row(*args)


class Discovery:
    """`tephra run` with nothing but discovery.kubernetes."""

    def __init__(self, work, text):
        path, log = os.path.join(work, "kube.alloy"), os.path.join(work, "kube.log")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        with open(log, "w", encoding="utf-8") as f:
            self.proc = loads.start([os.environ["TEPHRA"], "run", "--cache-dir=",
                                     "--server.http.listen-addr=127.0.0.1:0", path], stderr=f)
        self.pid, self.log, self.get = self.proc.pid, log, loads.Agent.get.__get__(self)

    def targets(self):
        try:
            text = self.get("/metrics")
        except (OSError, AttributeError):
            return 0
        line = next((ln for ln in text.splitlines()
                     if ln.startswith("prometheus_sd_discovered_targets{")), "x 0")
        return int(float(line.split()[-1]))

    def cpu_s(self):
        return proc.run_ns(self.pid) / 1e9

    def stop(self):
        self.proc.terminate()
        self.proc.wait(15)


def pods_of_a_cluster(b):
    server = Fake(os.path.join(b.work, "apiserver"))
    agents = []
    try:
        empty = Discovery(b.work, CONFIG.format(url=server.url, token=server.token, ca=server.ca))
        agents.append(empty)
        time.sleep(2)
        idle_kb, idle_s = proc.status_kb(empty.pid, "VmHWM"), empty.cpu_s()
        for i in range(PODS):
            server.put(pod("shop", f"web-{i:05d}", annotations={"checksum/config": "ab" * 32}))
        full = Discovery(b.work, CONFIG.format(url=server.url, token=server.token, ca=server.ca))
        agents.append(full)
        loads.wait_until(lambda: full.targets() == PODS, 60, "all pods")
        listed_s, peak_mb = full.cpu_s() - idle_s, (proc.status_kb(full.pid, "VmHWM") - idle_kb) * 1024 / 1e6
        start, cpu, n = time.monotonic(), full.cpu_s(), 0
        while time.monotonic() - start < (5 if b.quick else 20):
            server.put(pod("shop", f"web-{n % PODS:05d}", labels={"version": str(n)}))
            n += 1
            time.sleep(0.01)
        took = time.monotonic() - start
        share = (full.cpu_s() - cpu) / took * 100
    finally:
        for a in agents:
            a.stop()
        server.stop()
    return [row(f"{PODS:,} pods listed: CPU", "< 0.5 s", f"{listed_s:.2f} s", listed_s < 0.5),
            row(f"{PODS:,} pods listed: memory", "< 40 MB", f"{peak_mb:.1f} MB at the peak", peak_mb < 40),
            row(f"{n / took:.0f} of them change each second", "< 5 % of a core", f"{share:.1f} %", share < 5)]
