"""Faults at every system call of a stretch of the daemon's or a worker's life: which calls, which faults, how a case goes.

Each stretch is first gone through without a fault, which counts its calls; then once for each call and fault, from the
same beginning, with the fault at that call. Which stretches there are stands in `stretches`.
"""
import errno, os, re, subprocess, time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import disks, oracle
from home import Home, Place

# Calls that change what lies on the disk, and those that only look or ask for something.
CHANGES = "create write pwrite64 writev fsync fdatasync syncfs ftruncate fallocate copy_file_range rename renameat renameat2 link linkat symlink unlink unlinkat mkdir mkdirat rmdir chmod fchmod fchmodat utimensat".split()
LOOKS = "openat read pread64 getdents64 stat lstat statx newfstatat access faccessat readlink statfs".split()
# Which calls a fault may meet at all: what the manual pages say, and file systems on a network do. SQLite's own locks
# (fcntl) are left alone: an unlock that fails can't be mended by anybody.
FAULTS = {
    "kill": CHANGES,
    "power": CHANGES,
    "ENOSPC": "create write pwrite64 writev fsync fdatasync syncfs ftruncate fallocate copy_file_range rename renameat renameat2 link linkat symlink mkdir mkdirat".split(),
    "EIO": [it for it in CHANGES if it != "create"] + LOOKS,
    "EACCES": "rename renameat renameat2 link linkat symlink unlink unlinkat mkdir mkdirat rmdir chmod fchmod fchmodat utimensat copy_file_range openat stat lstat statx newfstatat access faccessat".split(),
    "EXDEV": "rename renameat renameat2 link linkat copy_file_range".split(),
    "EINTR": "openat read pread64 write pwrite64 writev fsync fdatasync ftruncate fallocate flock".split(),
    "EMFILE": "openat socket pipe2 pidfd_open inotify_init1".split(),
    "EAGAIN": "clone3 clone vfork".split(),
    "short": "read pread64 write pwrite64".split(),
}
# How a daemon may end by each fault: killed, by its power, or else with a word of why.
ENDS = {"kill": [137], "power": [-9]}


@dataclass
class Stretch:
    name: str
    # Whose calls count: `finetuned` or `finetuned-worker`.
    program: str
    # At a place, it makes a home and leaves it without a daemon.
    home: Callable[[object], Home] | None = None
    # Whether the daemon has got where it is going.
    is_over: Callable[[Home], bool] | None = None
    # Whether jobs run in it.
    finishes: bool = False
    # How long a living daemon may take, pauses after trouble included.
    seconds: float = 25


@dataclass
class Case:
    stretch: Stretch
    fault: str
    at: int

    def __str__(self):
        return f"{self.stretch.name}, {self.fault}, {self.at}"


class Injector:
    def __init__(self, folder):
        self.binary = Path(folder) / "inject"
        source = Path(__file__).with_name("inject.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-Werror", "-o", self.binary, source], check=True)

    def before(self, home, stretch, fault, at, count=1, mounts=()):
        number = getattr(errno, fault, fault)
        roots, power = [":".join(map(str, it)) for it in ([home.root, home.inbox], mounts)]
        return [self.binary, home.notes / "calls", stretch.program, ",".join(FAULTS[fault]), number, at, count, roots, power, "--"]


def calls(home):
    """What was counted: (whether the fault struck, call, path below the home's folder)."""
    lines = (home.notes / "calls").read_text().splitlines()
    found = (re.match(r"\d+(!?) (\w+) ?(.*)", it).groups() for it in lines)
    return [(strike == "!", call, path.replace(str(home.folder), "")) for strike, call, path in found]


def count(stretch, fault, injector):
    with stretch.home(Place()) as home:
        home.serve(injector.before(home, stretch, fault, 0))
        home.wait(lambda: stretch.is_over(home), f"{stretch.name} is over")
        # What follows at once belongs to it: rows, the bulletin.
        time.sleep(0.1)
        n = len(calls(home))
        assert home.stop() == 0, home.log()
        return n


def run(case, injector, weights, finish):
    """What went wrong, or None; and at which call, None where there was no such call this time."""
    stretch = case.stretch
    with stretch.home(disks.Power() if case.fault == "power" else Place()) as home:
        call = None
        try:
            mounts = home.place.begin() if case.fault == "power" else ()
            home.serve(injector.before(home, stretch, case.fault, case.at, mounts=mounts), wait=False)
            go_through(home, stretch, case.fault)
            struck = [it for it in calls(home) if it[0]]
            if not struck:
                return None, None
            call = " ".join(struck[0][1:])
            stop(home, case.fault)
            if any(oracle.litter(home)):
                # What can't be removed at the moment goes with the next start.
                home.serve()
                stop(home, case.fault)
            oracle.check(home, weights)
            if finish and not stretch.finishes:
                home.configure(jobs=True)
                home.serve()
                home.wait_for("done")
                home.wait(lambda: not any(home.inbox.iterdir()), "the inbox is empty")
                stop(home, case.fault)
                oracle.check(home, weights)
            # The library that hears of file events panics without its thread; the daemon goes on without it.
            panics = [it for it in home.log().splitlines() if "panicked at" in it and "/notify-" not in it]
            assert not panics, panics
            return None, call
        except Exception as err:
            why = str(err).split("; the log ends:")[0] if isinstance(err, AssertionError) else repr(err)
            log = home.log().replace(str(home.folder), "").splitlines()[-25:]
            return "\n    log: ".join([why, *log]), call or "?"


def go_through(home, stretch, fault):
    """Until the stretch is over; a daemon that ends is started again, as its service manager does."""
    end, restarts = time.monotonic() + stretch.seconds, 0
    while True:
        assert time.monotonic() < end, f"it does not get there: {state(home)}"
        if not home.is_alive():
            begin_again(home, fault)
            restarts += 1
            assert restarts < 3, "the daemon ends again and again"
        if "serving /" not in home.log():
            time.sleep(0.03)
            continue
        stuck = [it for it in home.log().splitlines() if " WARN " in it and "/.finetuned-" in it]
        if stuck and stretch.finishes and not restarts:
            # An original that could not be removed: it is named, and tried again every ten minutes, or by the next daemon.
            home.wait(lambda: "done" in home.states().values(), "its job is done")
            stop(home, fault)
            restarts += 1
            home.serve()
        if is_over(home, stretch, fault):
            return
        time.sleep(0.03)


def is_over(home, stretch, fault):
    try:
        if stretch.program == "finetuned-worker":
            retry(home, fault)
        return stretch.is_over(home)
    except (AssertionError, OSError):
        # Nothing can be read without power, until somebody has noticed.
        if fault != "power":
            raise
        return False


def retry(home, fault):
    """A job may have failed by its fault, with a reason; its owner tries again."""
    for job in home.jobs():
        if job["state"] == "failed":
            kind = home.failure(job)["kind"]
            assert job["attempt"] < 3, f"it fails again: {job['reason']}"
            assert fault != "ENOSPC" or kind == "disk", f"a full disk is called {kind}: {job['reason']}"
            # Permissions are the owner's, and the sentence says which file wants one.
            assert kind != "data" or fault == "EACCES", f"its owner's data are blamed: {job['reason']}"
            answer = home.finetuned("retry", str(job["id"]))
            assert answer.returncode == 0, answer.stderr


def begin_again(home, fault):
    status = home.daemon.returncode
    assert status in ENDS.get(fault, [1]), f"the daemon ended with {status}"
    if fault == "power":
        home.place.come_up()
    home.serve()


def stop(home, fault):
    status = home.stop()
    if status != 0 and fault in ENDS:
        # It met its end on the way out.
        begin_again(home, fault)
        status = home.stop()
    assert status == 0, f"asked to stop, the daemon ended with {status}"


def state(home):
    try:
        status = home.status()
    except AssertionError as err:
        return str(err)
    trouble = (status["daemon"] or {}).get("trouble")
    return ", ".join(f"{it['name']} {it['state']} {it['reason'] or ''}" for it in status["jobs"]) + (f"; {trouble}" if trouble else "")
