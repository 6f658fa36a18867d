#!/usr/bin/env python3
"""A daemon for an hour among drops, kills and faults: `make soak MINUTES=60`, or `soak.py MINUTES [SEED]`, as root.

Everything is drawn by chance: what is dropped, who is killed, what the disk and the system calls do, which commands are
given. In the end everything is calm, and the oracle is asked; disk, descriptors and memory are bounded all the while.
Ends with 1 if anything was wrong.
"""
import os, random, signal, sys, tempfile, time
from collections import Counter
from pathlib import Path

import disks, oracle
from enumeration import FAULTS, Injector, Stretch
from home import RECIPE, Home
from run import weights

# What a daemon may have grown to; at rest it has 15 MB and some 20 descriptors.
MEMORY_MAX, DESCRIPTORS_MAX = 40 << 20, 64
# Of the home; so many runs stay in it, the others are removed by command.
DISK_MAX, RUNS_MAX = 300 << 20, 60
SETTINGS = "workers = 2\nsilence_minutes = 0.2"
BAD = "text,label\none,only\n"


class Soak:
    def __init__(self, home, injector, chance):
        self.home, self.injector, self.chance = home, injector, chance
        self.did, self.most, self.n = Counter(), Counter(), 0

    def serve(self):
        """Mostly with a fault to come, at one call or at some in a row."""
        prefix = []
        if self.chance.random() < 0.7:
            fault = self.chance.choice([it for it in FAULTS if it != "power"])
            program = self.chance.choice(["finetuned", "finetuned-worker"])
            at, count = self.chance.randrange(1, 900), self.chance.choice([1, 1, 1, 3, 20])
            prefix = self.injector.before(self.home, Stretch("soak", program), fault, at, count)
            self.did[f"{fault} to come, in {program}"] += 1
        self.home.serve(prefix, wait=False)

    def step(self):
        acts = [self.drop] * 6 + [self.kill_worker, self.kill_daemon, self.stop_daemon, self.stop_worker, self.command, self.command, self.fill]
        self.chance.choice(acts)()
        if not self.home.is_alive():
            assert self.home.daemon.returncode in (0, 1, -9, 137), f"the daemon ended with {self.home.daemon.returncode}"
            self.did["daemon started again"] += 1
            self.serve()
        self.measure()

    def drop(self):
        self.n += 1
        kind = self.chance.random()
        if kind < 0.1:
            name = f"bad{self.n}.csv"
            (self.home.inbox / f".{name}").write_text(BAD)
            (self.home.inbox / f".{name}").rename(self.home.inbox / name)
            self.home.drops[name] = {"": BAD.encode()}
        else:
            self.home.drop(f"d{self.n}.csv" if kind < 0.7 else f"f{self.n}")
        self.did["drop"] += 1

    def workers(self):
        return [int(it.parent.name) for it in Path("/proc").glob("[0-9]*/exe") if is_ours(it, self.home.root)]

    def kill_worker(self, how=signal.SIGKILL):
        for pid in self.workers()[:1]:
            os.kill(pid, how)
            self.did[f"worker: {how.name}"] += 1

    def stop_worker(self):
        self.kill_worker(signal.SIGSTOP)

    def kill_daemon(self):
        if self.chance.random() < 0.5:
            self.home.kill()
            self.did["daemon: SIGKILL"] += 1

    def stop_daemon(self):
        if self.chance.random() < 0.5:
            self.home.stop()
            self.did["daemon: SIGTERM"] += 1

    def command(self):
        jobs = [it for it in self.home.jobs() if it["state"] != "claiming"]
        verb = "remove" if RUNS_MAX < len(jobs) else self.chance.choice(["pause", "resume", "retry", "cancel", "show", "gc"])
        if verb == "remove":
            jobs = [it for it in jobs if it["state"] == "done"][:20]
        else:
            jobs = self.chance.sample(jobs, min(1, len(jobs)))
        for job in jobs:
            if verb == "cancel":
                self.home.cancelled.add(job["name"])
            answer = self.home.finetuned(verb, *([] if verb == "gc" else [str(job["id"])]))
            if verb == "remove" and answer.returncode == 0:
                assert job["name"] in self.home.drops, f"{job['name']} was removed before, and is a job again: {self.history(job['name'])}"
                del self.home.drops[job["name"]]
            self.did[verb] += 1

    def history(self, name):
        """What the daemon has said of a drop."""
        said = "\n".join(it for it in self.home.log().splitlines() if name in it)
        return f"{[it for it in self.home.jobs() if it['name'] == name]}\n{said}"

    def fill(self):
        """Nothing fits for some seconds."""
        self.home.place.fill()
        time.sleep(self.chance.random() * 5)
        self.home.place.empty()
        self.did["disk full"] += 1

    def measure(self):
        try:
            pid = self.home.pid()
            memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            disk = sum(it.lstat().st_size for it in self.home.root.rglob("*"))
        except (OSError, IndexError, ValueError):
            # It ends, or something goes, at this moment.
            return
        for what, n in [("memory", memory), ("descriptors", descriptors), ("disk", disk)]:
            self.most[what] = max(self.most[what], n)
        assert memory < MEMORY_MAX and descriptors < DESCRIPTORS_MAX and disk < DISK_MAX, self.most


def is_ours(exe, root):
    try:
        return exe.resolve().name == "finetuned-worker" and str(root) in (exe.parent / "cmdline").read_text()
    except OSError:
        return False


def calm(home, soak):
    """Nothing disturbs any more: all that can be done is done."""
    home.kill()
    for pid in soak.workers():
        os.kill(pid, signal.SIGKILL)
    home.serve()

    def is_calm():
        jobs = home.jobs()
        for job in jobs:
            wanted = job["state"] != "cancelled" or home.was_cancelled(job["name"])
            assert wanted, f"job {job['id']} was cancelled by nobody: {job['reason']}"
            verb = {"failed": "retry", "quarantined": "retry", "cancelled": "retry", "paused": "resume"}.get(job["state"])
            if verb and not (job["name"].startswith("bad") and job["state"] == "failed"):
                home.finetuned(verb, str(job["id"]))
        return all(it["state"] == ("failed" if it["name"].startswith("bad") else "done") for it in jobs) and not any(home.inbox.iterdir())

    home.wait(is_calm, "all is done", 1800)


def main():
    if not disks.can_mount():
        sys.exit("only root can mount the file system that is filled")
    minutes, seed = float(sys.argv[1]), int(sys.argv[2]) if 2 < len(sys.argv) else time.time_ns() % 10**6
    print(f"{minutes} minutes, seed {seed}", flush=True)
    undisturbed = weights(RECIPE)
    with tempfile.TemporaryDirectory() as folder, Home(disks.Small("size=600m"), far=seed % 2 == 1, settings=SETTINGS) as home:
        soak = Soak(home, Injector(folder), random.Random(seed))
        soak.serve()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            soak.step()
            time.sleep(soak.chance.random() * 2)
        calm(home, soak)
        assert home.stop() == 0
        panics = [it for it in home.log().splitlines() if "panicked at" in it and "/notify-" not in it]
        assert not panics, panics
        oracle.check(home, undisturbed)
    print("\n| what | how often |\n| --- | --- |")
    for what, n in sorted(soak.did.items()):
        print(f"| {what} | {n} |")
    print("\n" + ", ".join(f"most {what}: {n:,}" for what, n in soak.most.items()))


if __name__ == "__main__":
    main()
