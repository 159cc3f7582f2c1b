# SPDX-License-Identifier: Apache-2.0
"""contrib/tephra.service under a real systemd: with the unit's privileges and restrictions the agent
gets ready, profiles completely, reloads, is watched and ends."""

import os
import re
import shlex
import subprocess

from lib import ROOT, TEPHRA, Skip, Target, case, check, need_program, spawn, wait_for

UNIT = os.path.join(ROOT, "contrib", "tephra.service")
MANAGER = "/lib/systemd/systemd"

# A manager of its own needs a control group tree it may write to, and /run as it would be booted.
# `--user` is the manager that need not be process 1; as root it applies everything the unit says.
BOOT = """
umount -lR /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup || exit 77
mkdir -p /sys/fs/cgroup/tephra-test-$$ && echo $$ > /sys/fs/cgroup/tephra-test-$$/cgroup.procs &&
mount -t tmpfs none /run && mkdir -p /run/systemd/system || exit 77
exec {manager} --user --log-target=console
"""


class Systemd:
    def __init__(self, unit):
        here = os.getcwd()
        self.env = {**os.environ, "HOME": here}
        for name in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "STATE_HOME"):
            self.env["XDG_" + name] = os.path.join(here, name.lower())
            os.mkdir(self.env["XDG_" + name], 0o700)
        os.makedirs("config_home/systemd/user")
        with open("config_home/systemd/user/tephra.service", "w") as f:
            f.write(unit)
        self.proc = spawn(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                           BOOT.format(manager=MANAGER)], env=self.env,
                          stdout=open("systemd.log", "w"), stderr=subprocess.STDOUT)
        wait_for(lambda: self.proc.poll() is not None or self.ctl("is-system-running")[1]
                 in ("running", "degraded", "starting"), 15, "systemd")
        if self.proc.poll() is not None:
            raise Skip(f"systemd does not run here: {open('systemd.log').read()[-300:]}")

    def ctl(self, *args, timeout=60):
        r = subprocess.run(["nsenter", "-t", str(self.proc.pid), "-m", "--wd=/", "systemctl",
                            "--user", "--no-pager", *args], env=self.env, capture_output=True,
                           text=True, timeout=timeout)
        return r.returncode, r.stdout.strip() or r.stderr.strip()

    def end(self):
        self.proc.terminate()
        self.proc.wait(10)
        with open("/proc/mounts") as f:
            trees = [x.split()[1] for x in f if x.split()[2] == "cgroup2"]
        for top in (f"{tree}/tephra-test-{self.proc.pid}" for tree in trees):
            for path, _, _ in os.walk(top, topdown=False):
                os.rmdir(path)

    def show(self, name):
        return self.ctl("show", "tephra", "-p", name, "--value")[1]

    def get(self, port, path):
        return subprocess.run(["curl", "-s", "-m", "10", f"http://127.0.0.1:{port}{path}"],
                              capture_output=True, text=True, timeout=20).stdout


@case
def the_unit_is_without_mistakes():
    need_program("systemd-analyze")
    with open(UNIT) as f:
        text = f.read().replace("/usr/bin/tephra", TEPHRA).replace("Documentation=man:", "#")
    with open("tephra.service", "w") as f:
        f.write(text)
    r = subprocess.run(["systemd-analyze", "verify", "./tephra.service"], capture_output=True,
                       text=True, timeout=30)
    ours = [x for x in r.stderr.splitlines() if "tephra.service" in x]
    check(not ours, "\n".join(ours))
    r = subprocess.run(["systemd-analyze", "security", "--offline=true", "./tephra.service"],
                       capture_output=True, text=True, timeout=30)
    m = re.search(r"exposure level for tephra.service: ([0-9.]+)", r.stdout)
    if not m:
        raise Skip("this systemd-analyze knows no --offline")
    print(m.group(0))
    check(float(m.group(1)) < 4.5, m.group(0))


@case
def the_unit_profiles_with_the_rights_it_has():
    need_program("nsenter")
    need_program("curl")
    if not os.access(MANAGER, os.X_OK):
        raise Skip("systemd is not installed")
    t, port = Target("split"), 12399
    config = os.path.abspath("config.alloy")
    with open(config, "w") as f:
        f.write(f"""
pyroscope.ebpf "e" {{
  forward_to       = [pyroscope.write.w.receiver]
  targets          = [{{"__process_pid__" = "{t.pid}", "service_name" = "split"}}]
  collect_interval = "1s"
  sample_rate      = 97
}}
pyroscope.write "w" {{
  endpoint {{ url = "http://127.0.0.1:9" }}
}}
""")
    command = f"{TEPHRA} run --server.http.listen-addr=127.0.0.1:{port} {shlex.quote(config)}"
    with open(UNIT) as f:
        unit = f.read().replace("/usr/bin/tephra run /etc/tephra", command)
    unit = unit.replace("RestartSec=5s", "RestartSec=500ms")
    unit = re.sub(r"(?m)^(After|Wants)=.*\n", "", unit).replace(
        "WatchdogSec=60s", f"WatchdogSec=2s\nStandardError=append:{os.path.abspath('unit.log')}")
    s = Systemd(unit)
    try:
        code, text = s.ctl("start", "tephra")
        check(code == 0, f"start: {text}")
        check(s.show("StatusText") == "profiling", s.show("StatusText"))

        def numbers():
            return {m[0]: float(m[1]) for m in re.findall(
                r"^(tephra_\w+)\{component_id=\"pyroscope.ebpf.e\",component_path=\"/\"\} (\S+)$",
                s.get(port, "/metrics"), re.M)}

        wait_for(lambda: numbers().get("tephra_frames_total", 0) > 500, 20, "samples")
        n = numbers()
        print({k: n[k] for k in ("tephra_samples_total", "tephra_stacks_complete_ratio",
                                 "tephra_files_ready", "tephra_files_failed")})
        check(n["tephra_stacks_complete_ratio"] > 0.98 and not n["tephra_files_failed"], str(n))
        with open("unit.log") as f:
            check("kernel symbols" not in f.read(), "kernel frames have no names")
        pid = int(s.show("MainPID"))
        with open(f"/proc/{pid}/status") as f:
            status = f.read()
        check("NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status)
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            child = f.read().split()[0]
        for ns in ("mnt", "net"):
            check(os.readlink(f"/proc/{pid}/ns/{ns}") != os.readlink(f"/proc/{child}/ns/{ns}"),
                  f"the parsing process shares the {ns} namespace")
        check(s.ctl("reload", "tephra")[0] == 0 and int(s.show("MainPID")) == pid, "reload")
        # It hangs: it is ended and started again.
        os.kill(pid, 19)
        wait_for(lambda: s.show("NRestarts") == "1" and s.show("ActiveState") == "active", 40,
                 "the restart")
        check(int(s.show("MainPID")) != pid, "the same process")
        check(s.ctl("stop", "tephra")[0] == 0 and s.show("Result") == "success", s.show("Result"))
    finally:
        print(s.ctl("status", "tephra")[1])
        s.ctl("stop", "tephra")
        s.end()
        for log in ("systemd.log", "unit.log"):
            if os.path.exists(log):
                print(log, open(log, errors="replace").read()[-2000:])
        t.stop()
