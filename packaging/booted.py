#!/usr/bin/env python3
"""A package in the hands of a real systemd: `booted.py DEB ROOT` (as root, with debootstrap).

ROOT, a Debian root that is made where it is not there, is booted in namespaces of its own with systemd as process 1,
and DEB is installed in it, used and upgraded while it works, then removed. Each line that is printed was seen. What
the kernel does not give to a second systemd (a memory controller that the host has taken) is named as skipped.
"""
import json, os, re, shutil, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
INBOX, HOME = "/var/spool/finetuned", "/var/lib/finetuned"
# In a mount namespace of its own: the root becomes ROOT, with what systemd wants to find in a container.
ENTER = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for it in null zero full random urandom tty; do touch dev/$it; mount --bind /dev/$it dev/$it; done
mkdir -p dev/pts dev/shm old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . old
umount -l /old
exec env -i container=namespaces PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"""
LONG = 'model.base = "/srv/tiny-bert"\n[train]\nepochs = 100000\npatience = 0\n'
SHORT = 'model.base = "/srv/tiny-bert"\n[train]\nepochs = 2\n'


def fail(why):
    sys.exit(f"booted.py: {why}")


def wait(what, look, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    fail(f"waited {seconds} s for: {what}")


class System:
    """A booted root: `run` is a command inside, as root there."""

    def __init__(self, pid):
        self.enter = ["nsenter", f"--target={pid}", "--all", "--root", "--wd", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]

    def ask(self, *command):
        return subprocess.run([*self.enter, *map(str, command)], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def run(self, *command):
        done = self.ask(*command)
        if done.returncode:
            journal = self.ask("journalctl", "-b", "-n", "40", "--no-pager").stdout
            fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}{journal}")
        return done.stdout

    def sh(self, script):
        return self.run("bash", "-euo", "pipefail", "-c", script)

    def property(self, name, unit="finetuned"):
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def write(self, path, text):
        subprocess.run([*self.enter, "tee", path], input=text, text=True, check=True, stdout=subprocess.DEVNULL)

    def job(self, number):
        jobs = json.loads(self.run("finetuned", "--home", HOME, "status", "--json"))["jobs"]
        return next((it for it in jobs if it["id"] == number), None)

    def step(self):
        """What `systemctl status` says that the running job has come to."""
        found = re.search(r"step ([\d,]+)", self.property("StatusText"))
        return found and int(found[1].replace(",", ""))

    def journal(self, *fields):
        return self.run("journalctl", "-b", "--no-pager", "-o", "cat", *fields)

    def drop(self, name, recipe):
        """As a member of the group, whole by a rename."""
        script = f"umask 007; mkdir {INBOX}/.{name}; cp /srv/a.csv {INBOX}/.{name}/; cat > {INBOX}/.{name}/job.toml; mv {INBOX}/.{name} {INBOX}/{name}"
        subprocess.run([*self.enter, "runuser", "-u", "dropper", "-g", "finetuned", "--", "bash", "-c", script], input=recipe, text=True, check=True)


@contextmanager
def own_cgroup():
    """One below the caller's, to be the root of the guest's tree: the guest's processes end with it."""
    mounted = next((it.split() for it in Path("/proc/mounts").read_text().splitlines() if it.split()[2] == "cgroup2"), None)
    if not mounted:
        fail("no cgroup v2 is mounted")
    cgroup = Path(mounted[1]) / f"finetuned-booted-{os.getpid()}"
    cgroup.mkdir()
    try:
        yield cgroup
    finally:
        (cgroup / "cgroup.kill").write_text("1")
        folders = [cgroup, *(it for it in cgroup.rglob("*") if it.is_dir())]
        for folder in sorted(folders, key=lambda it: -len(it.parts)):
            removed_by = time.monotonic() + 10
            while folder.exists() and time.monotonic() < removed_by:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.1)


@contextmanager
def booted(root):
    with own_cgroup() as cgroup:
        join = lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        spaces = ["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child=SIGKILL"]
        host = subprocess.Popen(["unshare", *spaces, "bash", "-c", ENTER, "enter", root], preexec_fn=join, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            children = Path(f"/proc/{host.pid}/task/{host.pid}/children")
            first = lambda: children.read_text().split()[:1] if host.poll() is None else fail("the guest's process 1 ended")
            system = System(wait("process 1", first)[0])
            is_up = lambda: system.ask("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
            wait("systemd has booted", is_up)
            yield system
        finally:
            host.kill()
            host.wait()


def installed(system):
    system.run("dpkg", "-i", "/srv/finetuned.deb")
    system.run("useradd", "--create-home", "--groups", "finetuned", "dropper")
    check(system.property("ActiveState"), lambda it: it == "active")
    check(system.property("StatusText"), lambda it: it.startswith("0 queued, 0 running"))
    return "installed: the service is ready, and says what it does"


def read_again(system):
    before = system.property("MainPID")
    config = system.run("cat", "/etc/finetuned/config.toml")
    system.write("/etc/finetuned/config.toml", config + '\n[recipes]\nbases = ["/srv/tiny-bert"]\n')
    system.run("systemctl", "reload", "finetuned")
    check(system.property("ActiveState"), lambda it: it == "active")
    check(system.property("MainPID"), lambda it: it == before)
    return "reload: the configuration is read again, by the same process"


def worked(system):
    system.drop("first", SHORT)
    wait("job 1 is done", lambda: (system.job(1) or {}).get("state") == "done")
    check(system.journal("JOB=1"), lambda it: "done" in it)
    check(system.journal("JOB=2"), lambda it: "done" not in it)
    return "a drop of a member of the group: done; its records in the journal carry JOB=1"


def in_a_group(system):
    system.drop("long", LONG)
    wait("steps of job 2", system.step)
    unit = "/sys/fs/cgroup/system.slice/finetuned.service"
    check(system.run("cat", f"{unit}/jobs/job-2/cgroup.procs"), str.strip)
    check(system.run("cat", f"{unit}/supervisor/cgroup.procs").split(), lambda it: it == [system.property("MainPID")])
    return "a job at work: its steps stand in `systemctl status`, its worker is in a cgroup of its own"


def killed(system):
    """By the kernel where it counts memory for us, else by its signal."""
    unit = "/sys/fs/cgroup/system.slice/finetuned.service"
    before = system.property("MainPID")
    counted = "memory" in system.run("cat", f"{unit}/cgroup.controllers").split()
    if counted:
        system.write(f"{unit}/jobs/job-2/memory.max", "1M")
    else:
        system.sh(f"kill -KILL $(head -n 1 {unit}/jobs/job-2/cgroup.procs)")
    wait("another attempt at job 2", lambda: system.job(2)["attempt"] == 2 and system.step())
    check(system.property("MainPID"), lambda it: it == before)
    check(system.property("NRestarts"), lambda it: it == "0")
    if not counted:
        print("SKIPPED out of memory: this machine's memory is counted by cgroups of version 1; SIGKILL instead")
    return "a worker killed: the service lives, the job goes on"


def stopped(system):
    """And started again."""
    step, begin = wait("steps", system.step), time.monotonic()
    system.run("systemctl", "stop", "finetuned")
    took = time.monotonic() - begin
    check(system.property("Result"), lambda it: it == "success")
    check(system.run("find", f"{HOME}/runs", "-name", "checkpoint*"), str.strip)
    system.run("systemctl", "start", "finetuned")
    check(wait("steps", system.step), lambda it: step <= it)
    return f"stopped at work: {took:.1f} s, with a checkpoint; started again it goes on from there"


def upgraded(system):
    step, before = wait("steps", system.step), system.property("MainPID")
    system.sh(
        "dpkg-deb -R /srv/finetuned.deb /srv/newer && sed -i 's/^Version: .*/&+1/' /srv/newer/DEBIAN/control"
        " && dpkg-deb -Znone -b /srv/newer /srv/newer.deb && dpkg -i /srv/newer.deb && rm -r /srv/newer /srv/newer.deb"
    )
    check(system.property("MainPID"), lambda it: it not in ("0", before))
    check(system.run("cat", "/etc/finetuned/config.toml"), lambda it: "/srv/tiny-bert" in it)
    check(wait("steps", system.step), lambda it: step <= it)
    return "upgraded at work: the new daemon goes on with the job, the configuration stays"


def bitten(system):
    """A loop that stands still gives no sign of life."""
    system.sh("mkdir -p /run/systemd/system/finetuned.service.d")
    system.write("/run/systemd/system/finetuned.service.d/soon.conf", "[Service]\nWatchdogSec=5s\nTimeoutAbortSec=2s\nRestartSec=1s\n")
    system.sh("systemctl daemon-reload && systemctl restart finetuned")
    step, before = wait("steps", system.step), system.property("MainPID")
    time.sleep(8)
    check(system.property("MainPID"), lambda it: it == before)
    system.sh(f"kill -STOP {before}")
    wait("the watchdog", lambda: "Watchdog timeout" in system.journal("_PID=1"))
    wait("a new daemon", lambda: system.property("MainPID") not in ("0", before) and system.property("ActiveState") == "active")
    check(wait("steps", system.step), lambda it: step <= it)
    check(system.property("NRestarts"), lambda it: it == "1")
    return "a loop that stood still: the watchdog bit, the service began anew, the job goes on"


def of_a_user(system):
    """The user's own manager, without a login."""
    uid = system.run("id", "-u", "dropper").strip()
    system.run("systemctl", "start", f"user@{uid}")
    home = "/home/dropper/.local/share/finetuned"
    as_user = ["runuser", "-u", "dropper", "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}", "HOME=/home/dropper"]
    system.sh(f"mkdir -p {home} && chown -R dropper /home/dropper")
    system.write(f"{home}/config.toml", 'settle_s = 1\n[recipes]\nbases = ["/srv/tiny-bert"]\n')
    system.run(*as_user, "systemctl", "--user", "start", "finetuned")
    check(system.run(*as_user, "systemctl", "--user", "is-active", "finetuned").strip(), lambda it: it == "active")
    system.write("/srv/recipe.toml", SHORT)
    system.run(*as_user, "finetuned", "submit", "/srv/a.csv", "--recipe", "/srv/recipe.toml", "--wait")
    system.run(*as_user, "systemctl", "--user", "stop", "finetuned")
    return "as a service of one user: ready, a drop submitted and done, stopped"


def removed(system):
    system.run("dpkg", "-r", "finetuned")
    check(system.property("ActiveState"), lambda it: it == "inactive")
    system.run("dpkg", "-P", "finetuned")
    check(system.run("find", f"{HOME}/runs", "-name", "model.safetensors", "-path", "*/model/*"), str.strip)
    system.run("test", "-d", INBOX)
    return "removed and purged: stopped, and models stay"


STEPS = [installed, read_again, worked, in_a_group, killed, stopped, upgraded, bitten, of_a_user, removed]


def check(value, holds):
    if not holds(value):
        fail(f"{sys._getframe(1).f_code.co_name}: found {value!r}")


def furnish(deb, root):
    subprocess.run([HERE / "root.sh", root], check=True)
    if not (root / "usr/share/doc/libpam-systemd").is_dir():
        subprocess.run(["chroot", root, "apt-get", "install", "-qq", "--no-install-recommends", "dbus", "libpam-systemd"], check=True, stdout=subprocess.DEVNULL)
    for leftover in (HOME, INBOX, "/var/cache/finetuned", "/etc/finetuned", "/home/dropper", "/run", "/var/log/journal"):
        shutil.rmtree(root / leftover.lstrip("/"), ignore_errors=True)
    (root / "run").mkdir()
    subprocess.run(["chroot", root, "bash", "-c", "dpkg -P finetuned; userdel dropper"], capture_output=True)
    shutil.copyfile(deb, root / "srv/finetuned.deb")
    shutil.copytree(HERE.parent / "tests/data/tiny-bert", root / "srv/tiny-bert", dirs_exist_ok=True)
    rows = [f"the movie {n} was {word},{label}" for n in range(200) for word, label in (("good", "positive"), ("awful", "negative"))]
    (root / "srv/a.csv").write_text("\n".join(["text,label", *rows]) + "\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    deb, root = (Path(it).resolve() for it in sys.argv[1:])
    furnish(deb, root)
    with booted(root) as system:
        print(f"booted: {system.run('systemctl', '--version').splitlines()[0]} as process 1")
        for step in STEPS:
            print(step(system), flush=True)


if __name__ == "__main__":
    main()
