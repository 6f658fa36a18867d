"""Faults that last, and those of the surroundings: no room, no descriptors, damaged files, lost databases, other clocks,
workers that misbehave, and everybody who writes into an inbox.

Each of KINDS yields cases: a name, and what is to be called. It raises where something is wrong, and what must be true
after all of them is asked by `oracle.check`.
"""
import json, os, resource, shutil, signal, struct, subprocess, time
from collections import Counter
from functools import partial
from pathlib import Path

import oracle
from disks import Small
from home import BINARIES, RECIPE, Home, sentences, tree

LONG = RECIPE.replace("epochs = 2", "epochs = 12")


def finish(home, weights, seconds=120):
    """Everything is done, and as it should be; the daemon has lived through it."""
    assert home.is_alive(), f"the daemon ended with {home.daemon.returncode}: {home.log()[-1500:]}"
    home.wait_for("done", seconds=seconds)
    home.wait(lambda: not [it for it in home.inbox.iterdir() if it.name.startswith(".finetuned-")], "originals are gone")
    assert home.stop() == 0
    assert "panicked" not in home.log(), home.log()[-2500:]
    oracle.check(home, weights)


def again(home):
    """With the usual configuration, and at its owner's wish."""
    home.settings = ""
    home.configure(jobs=True)
    os.kill(home.pid(), signal.SIGHUP)
    home.wait(lambda: "configuration read again" in home.log(), "the configuration is read")
    answer = home.finetuned("retry", "1")
    assert answer.returncode == 0, answer.stderr


def phase(run):
    """What its worker is at."""
    try:
        lines = [json.loads(it) for it in (run / "events.jsonl").read_text().splitlines() if it.endswith("}")]
    except (OSError, ValueError):
        return None
    found = [it["event"]["phase"] for it in lines if it["event"]["kind"] == "phase"]
    return found[-1] if found else None


# ---- no room, no descriptors, no memory


def no_room(weights):
    """Full for as long as it takes to be noticed, and a while longer; then there is room again."""
    for what, options, use_up in [("bytes", "size=24m", Small.fill), ("inodes", "size=64m,nr_inodes=160", Small.use_up_names)]:
        for far in (False, True):
            for when in ("before the drop", "while it trains", "while it is proven"):
                yield f"no {what} {when}{', far inbox' if far else ''}", partial(full, weights, options, use_up, far, when)


def full(weights, options, use_up, far, when):
    place = Small(options)
    with Home(place, far=far, recipe=LONG) as home:
        home.serve()
        if when == "before the drop" and far:
            use_up(place)
        home.drop("a.csv")
        if when != "before the drop":
            phases = ["training"] if "trains" in when else ["evaluating", "exporting", "proving"]
            home.wait(lambda: any(phase(it) in phases for it in home.runs()), when)
        use_up(place)
        time.sleep(6)
        assert home.is_alive(), home.log()[-2000:]
        home.status()
        place.empty()
        # The job may have failed, with a clear reason; then its owner tries again when the reason is gone.
        home.wait(lambda: home.states() and set(home.states().values()) <= {"done", "failed"}, "it is over")
        for job in home.jobs():
            if job["state"] == "failed":
                assert home.failure(job)["kind"] == "disk", job["reason"]
                answer = home.finetuned("retry", str(job["id"]))
                assert answer.returncode == 0, answer.stderr
        finish(home, weights(LONG))


def descriptors_and_memory(weights):
    """A daemon that may open nothing more, or have no more memory, for a while; a worker that gets too little."""
    yield "no descriptors", partial(no_descriptors, weights)
    yield "no memory for the daemon", partial(no_memory, weights)
    yield "no memory for a worker", partial(no_memory_for_a_worker, weights)


def no_descriptors(weights):
    with Home() as home:
        home.serve()
        time.sleep(1)
        pid = home.pid()
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), limit[1]))
        home.drop("a.csv")
        time.sleep(6)
        assert home.is_alive()
        home.status()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        finish(home, weights(RECIPE))


def no_memory(weights):
    with Home() as home:
        home.serve()
        time.sleep(1)
        pid = home.pid()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * 4096 + (64 << 10), resource.RLIM_INFINITY))
        home.drop("reviews")
        for n in range(300):
            (home.inbox / f".hidden-{n}").touch()
        time.sleep(4)
        if home.is_alive():
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            assert home.daemon.returncode in (1, -signal.SIGABRT), home.daemon.returncode
            home.serve()
        home.wait_for("done")
        for it in home.inbox.iterdir():
            it.unlink()
        finish(home, weights(RECIPE))


def no_memory_for_a_worker(weights):
    with Home(settings='memory = "40 MB"') as home:
        home.serve()
        home.drop("a.csv")
        home.wait_for("failed", "quarantined")
        reason = home.jobs()[0]["reason"]
        assert "memory" in reason, reason
        again(home)
        finish(home, weights(RECIPE))


# ---- damaged files


DAMAGES = {
    "a byte flipped": lambda it: it[:len(it) // 2] + bytes([it[len(it) // 2] ^ 0x10]) + it[len(it) // 2 + 1:],
    "cut in half": lambda it: it[:len(it) // 2],
    "empty": lambda it: b"",
    "zeros": lambda it: bytes(len(it)),
}
MOMENTS = {
    "in training": lambda run: any(run.glob("checkpoints/step-8/manifest.json")),
    "before the proof": lambda run: (run / "trained.json").exists(),
}


def damaged_files(weights):
    """Each kind of file that is read back, found damaged by the next worker and the next daemon: the job is done all the same,
    or fails with a sentence; never is another model made of it."""
    for moment in MOMENTS:
        yield f"every file, {moment}", partial(damaged_at, weights, moment)


def damaged_at(weights, moment):
    with Home(recipe=LONG) as home:
        home.drop("a.csv")
        home.serve()
        home.wait(lambda: home.runs() and MOMENTS[moment](home.runs()[0]), f"the moment {moment}")
        home.kill()
        snapshot = home.notes / "snapshot"
        shutil.copytree(home.folder, snapshot, ignore=shutil.ignore_patterns("poke.sock"))
        passed_over = ("config.toml", "finetuned.db-shm", "poke.sock")
        ours = [it.relative_to(home.root) for it in sorted(home.root.rglob("*")) if it.is_file() and it.stat().st_size and it.name not in passed_over]
        wrong, ends = [], Counter()
        for kind in ours:
            for how, change in DAMAGES.items():
                shutil.rmtree(home.folder)
                shutil.copytree(snapshot, home.folder)
                file = home.root / kind
                times = file.stat()
                file.write_bytes(change(file.read_bytes()))
                # As a disk that forgets: nothing says that the file has changed.
                os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
                home.drops = {"a.csv": tree(next(home.root.glob("runs/*/drop/a.csv")))}
                home.log_file.unlink()
                try:
                    ends[f"{kind.name} {begin_damaged(home, str(kind), weights)}"] += 1
                except Exception as err:
                    wrong.append(f"{kind} {how}: {str(err)[:1500]}")
                    home.kill()
        assert not wrong, "\n".join(wrong)
        return f"{len(ours)} files, each damaged in {len(DAMAGES)} ways: " + "; ".join(f"{end} ({n})" for end, n in ends.items())


def begin_damaged(home, kind, weights):
    """How it ended, in words."""
    home.serve(wait=False)
    home.wait(lambda: not home.is_alive() or "serving /" in home.log(), "it serves or says why not")
    end = "done"
    if not home.is_alive():
        # A start that is refused says what is damaged and how to mend it.
        assert home.daemon.returncode == 1 and kind.startswith("finetuned.db") and "move it away" in home.log(), home.log()
        end = "refused at the start; moved away, done"
        for file in home.root.glob("finetuned.db*"):
            file.unlink()
        home.serve()
    home.wait(lambda: home.states() and set(home.states().values()) <= {"done", "failed", "quarantined"}, "it is over", 90)
    (job,) = home.jobs()
    if job["state"] == "done":
        finish(home, None if "drop/" in kind else weights(LONG))
        return end
    assert job["state"] == "failed", job["reason"]
    assert home.stop() == 0
    oracle.check(home, weights(LONG))
    return f"failed: {job['reason']}".replace(str(home.folder), "")


# ---- databases, daemons and clocks


def databases(weights):
    """Lost, of an earlier moment, of another home: folders are what counts."""
    for what in ("missing", "without its log", "of an earlier moment", "empty", "of another home"):
        yield f"a database {what}", partial(database, weights, what)


def database(weights, what):
    with Home() as home:
        home.serve()
        home.drop("a.csv")
        home.wait_for("done")
        assert home.stop() == 0
        file = home.root / "finetuned.db"
        old = file.read_bytes()
        home.serve()
        home.drop("reviews")
        home.wait_for("done")
        home.drop("c.csv")
        home.kill()
        for it in home.root.glob("finetuned.db-*"):
            it.unlink()
        if what == "missing":
            file.unlink()
        elif what == "of an earlier moment":
            file.write_bytes(old)
        elif what == "empty":
            file.write_bytes(b"")
        elif what == "of another home":
            with Home() as other:
                other.serve()
                other.drop("z.csv")
                other.wait_for("done")
                assert other.stop() == 0
                file.write_bytes((other.root / "finetuned.db").read_bytes())
        home.serve()
        if what != "of another home":
            return finish(home, weights(RECIPE))
        # Its job is known too, and lies nowhere: it takes nothing from the others.
        home.wait(lambda: all(home.states().get(it) == "done" for it in home.drops), "all are done")
        assert home.stop() == 0
        try:
            oracle.check(home, weights(RECIPE))
        except oracle.Violation as err:
            rest = [it for it in str(err).split("; ") if "z.csv" not in it]
            assert not rest, rest


def daemons(weights):
    yield "a second daemon", partial(second_daemon, weights)
    yield "eight daemons at once", partial(eight_daemons, weights)


def second_daemon(weights):
    with Home() as home:
        home.serve()
        home.drop("a.csv")
        second = home.finetuned("serve")
        assert second.returncode == 1 and "another finetuned" in second.stderr, second
        finish(home, weights(RECIPE))


def eight_daemons(weights):
    with Home() as home:
        home.drop("a.csv")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        daemons = [subprocess.Popen([BINARIES / "finetuned", "--home", home.root, "serve"], **quiet) for _ in range(8)]
        time.sleep(3)
        alive = [it for it in daemons if it.poll() is None]
        home.daemon = alive[0] if alive else None
        assert len(alive) == 1, f"{len(alive)} of 8 serve"
        finish(home, weights(RECIPE))


def clocks(weights):
    """The wall clock steps by a day and by a year, either way, before the drop and in the middle of its job."""
    for days in (-365, -1, 1, 365):
        yield f"the clock steps by {days:+} days", partial(clock_steps, weights, days)
    yield "files of 1970 and of 2242", partial(odd_times, weights)


def clock_steps(weights, days):
    with Home(recipe=LONG, settings="silence_minutes = 0.5\njob_hours = 1") as home:
        shim, step = home.notes / "clock.so", home.notes / "step"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", shim, source, "-ldl"], check=True)
        step.write_bytes(struct.pack("q", 0))

        def by(seconds):
            with open(step, "r+b") as file:
                file.write(struct.pack("q", seconds))

        home.serve(env={"LD_PRELOAD": str(shim), "CLOCK_STEP": str(step)})
        by(days * 86400)
        home.drop("a.csv")
        home.wait(lambda: home.runs() and phase(home.runs()[0]) == "training", "it trains")
        by(0)
        time.sleep(0.5)
        by(days * 86400)
        finish(home, weights(LONG))


def odd_times(weights):
    with Home() as home:
        for name, at in [("a.csv", 2**33), ("b.csv", 0)]:
            home.drop(name)
            os.utime(home.inbox / name, (at, at))
        home.serve()
        finish(home, weights(RECIPE))


# ---- workers that misbehave


BAD_WORKERS = {
    "ignores signals": ("trap '' TERM INT HUP; while :; do sleep 1; done", "silence_minutes = 0.05"),
    "floods its pipe with lines": ("while :; do echo '{\"at_ms\":1,\"attempt\":1,\"event\":{\"kind\":\"nonsense\"}}'; done", "job_hours = 0.001"),
    "floods its pipe with one line": ("cat /dev/zero", "job_hours = 0.001"),
    "floods its log": ("timeout 3 yes nonsense >&2; exit 1", ""),
    "leaves a child that holds its pipe": ("(trap '' TERM; sleep 30) & exit 3", ""),
    "closes its pipe and hangs": ("exec >&-; sleep 1000", "silence_minutes = 0.05"),
    "says it is done and has done nothing": ("exit 0", ""),
    "ends with a number that nobody knows": ("exit 77", ""),
    "aborts": ("kill -ABRT $$", ""),
}


def workers(weights):
    for what in BAD_WORKERS:
        yield f"one that {what}", partial(bad_worker, weights, what)
    yield "one that is stopped in the middle", partial(stopped_worker, weights)


def bad_worker(weights, what):
    script, settings = BAD_WORKERS[what]
    with Home() as home:
        worker = home.notes / "worker"
        worker.write_text(f"#!/bin/sh\n{script}\n")
        worker.chmod(0o755)
        home.settings = f'{settings}\nworker = "{worker}"\n'
        home.configure(jobs=True)
        home.serve()
        home.drop("a.csv")
        home.wait_for("failed", "quarantined", seconds=150)
        assert home.jobs()[0]["reason"], what
        assert home.is_alive()
        memory = int(Path(f"/proc/{home.pid()}/statm").read_text().split()[1]) * 4096
        assert memory < 40 << 20, f"the daemon has grown to {memory} bytes"
        again(home)
        finish(home, weights(RECIPE))


def stopped_worker(weights):
    with Home(recipe=LONG, settings="silence_minutes = 0.25") as home:
        home.serve()
        home.drop("a.csv")
        home.wait(lambda: home.runs() and any(home.runs()[0].glob("checkpoints/step-8")), "there is a checkpoint")
        shown = json.loads(home.finetuned("show", "1", "--json").stdout)
        os.kill(shown["pid"], signal.SIGSTOP)
        finish(home, weights(LONG))


# ---- everybody who writes into an inbox


TABLE = sentences(40).encode()
NOTE = b"of nobody's interest\n"


def slowly(path, pause):
    """In three parts, with a pause after each."""
    third = len(TABLE) // 3
    with open(path, "wb", buffering=0) as file:
        for part in (TABLE[:third], TABLE[third:2 * third], TABLE[2 * third:]):
            file.write(part)
            time.sleep(pause)


def renamed(aside, to, pause, times=None):
    slowly(aside, pause)
    if times:
        os.utime(aside, (times, times))
    aside.rename(to)


def browser(inbox):
    # Firefox: an empty file holds the name.
    (inbox / "a.csv").touch()
    time.sleep(1)
    renamed(inbox / "x7Ab2.csv.part", inbox / "a.csv", 0.4)


def explorer(inbox):
    (inbox / "New folder").mkdir()
    time.sleep(1)
    (inbox / "New folder").rename(inbox / "reviews")
    time.sleep(1)
    unpacked(inbox)


def unpacked(inbox):
    (inbox / "reviews/notes").mkdir(parents=True)
    (inbox / "reviews/notes/readme.md").write_bytes(NOTE)
    slowly(inbox / "reviews/data.csv", 0.3)


def rsync_of_a_folder(inbox):
    (inbox / "reviews/notes").mkdir(parents=True)
    (inbox / "reviews/notes/readme.md").write_bytes(NOTE)
    renamed(inbox / "reviews/.data.csv.8fJw2L", inbox / "reviews/data.csv", 0.7)


def mv_across_file_systems(inbox):
    slowly(inbox / "a.csv", 0.2)
    os.utime(inbox / "a.csv", (1e9, 1e9))


def preallocated(inbox):
    with open(inbox / "a.csv", "wb") as file:
        file.truncate(len(TABLE))
    with open(inbox / "a.csv", "r+b", buffering=0) as file:
        for at in range(0, len(TABLE), 700):
            file.write(TABLE[at:at + 700])
            time.sleep(0.7)


# Each brings the same table into an inbox in its own way, slower than a drop settles.
WRITERS = {
    "cp with stalls": lambda inbox: slowly(inbox / "a.csv", 0.7),
    "a file held open for long": lambda inbox: slowly(inbox / "a.csv", 1.5),
    "scp, the length first": preallocated,
    "mv across file systems": mv_across_file_systems,
    "rsync": lambda inbox: renamed(inbox / ".a.csv.Xy3kQz", inbox / "a.csv", 0.7),
    "Syncthing": lambda inbox: renamed(inbox / ".syncthing.a.csv.tmp", inbox / "a.csv", 0.7, times=1e9),
    "a browser's download": browser,
    "a file manager's new folder": explorer,
    "rsync of a folder": rsync_of_a_folder,
    "an archive unpacked": unpacked,
}


def writers(weights):
    for far in (False, True):
        for how in WRITERS:
            yield f"{how}{', far inbox' if far else ''}", partial(writer, weights, how, far)


def writer(weights, how, far):
    with Home(far=far) as home:
        home.settle = 0.5
        home.configure(jobs=True)
        home.serve()
        WRITERS[how](home.inbox)
        if (home.inbox / "a.csv").exists() or "a.csv" in home.states():
            home.drops = {"a.csv": {"": TABLE}}
        else:
            home.drops = {"reviews": {"data.csv": TABLE, "notes/readme.md": NOTE}}
        finish(home, weights(RECIPE))


KINDS = [no_room, descriptors_and_memory, damaged_files, databases, daemons, clocks, workers, writers]
