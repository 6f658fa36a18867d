"""A home with the real daemon, its drops and what is expected of them; nothing here knows what a fault is for."""
import contextlib, json, os, shutil, signal, subprocess, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("FINETUNED_BINARIES") or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release")
BASE = ROOT / "tests/data/tiny-bert"
# Where a flush costs nothing: what a flush is worth is a question of power cuts, which have disks of their own.
MEMORY = Path("/dev/shm")

# A second on the tiny BERT. One precision and one thread: each run of it gives the same bits.
RECIPE = f"""model.base = {json.dumps(str(BASE))}
[train]
epochs = 2
lr = 3e-3
precision = "fp32"
patience = 0
[save]
every_steps = 4
"""
ALWAYS = "00:00-24:00"


def sentences(rows, seed=7):
    """A table that can be learnt: the label says which kind of word stands in the text."""
    words = [("positive", "good great lovely fine happy love bright warm".split()), ("negative", "bad awful poor sad angry hate dark cold".split())]
    subjects, state, lines = "movie film book day food place song game".split(), seed * 2654435761 % 2**32 | 1, ["text,label"]
    for row in range(rows):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        label, kind = words[state >> 40 & 1]
        lines.append(f"the {subjects[state >> 33 & 7]} {row} was {kind[state >> 48 & 7]},{label}")
    return "\n".join(lines) + "\n"


def tree(path):
    """Every file below a path with its bytes: what must never be lost."""
    if path.is_symlink() or path.is_file():
        return {"": path.read_bytes()}
    return {str(it.relative_to(path)): it.read_bytes() for it in sorted(path.rglob("*")) if it.is_file()}


class Place:
    """Two folders on two file systems: of a home, and of an inbox that is far from it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="faults-", dir=MEMORY))
        self.far = Path(tempfile.mkdtemp(prefix="faults-far-", dir="/tmp"))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.far, ignore_errors=True)


class Home:
    def __init__(self, place=None, far=False, settings="", recipe=RECIPE, jobs=True):
        """`far`: the inbox lies on another file system, so that drops are copied. `jobs`: they run."""
        self.place = place or Place()
        self.notes = Path(tempfile.mkdtemp(prefix="faults-notes-", dir=MEMORY))
        self.log_file = self.notes / "daemon.log"
        self.folder = self.place.folder
        self.root, self.inbox = self.folder / "home", (self.place.far if far else self.folder) / "inbox"
        self.root.mkdir(exist_ok=True)
        self.inbox.mkdir(exist_ok=True)
        (self.folder / "recipe.toml").write_text(recipe)
        self.settings, self.daemon, self.drops, self.cancelled = settings, None, {}, set()
        self.settle = 0.1
        self.configure(jobs)

    def configure(self, jobs):
        quiet = "" if jobs else f'quiet = "{ALWAYS}"\n'
        (self.root / "config.toml").write_text(
            f'settle_s = {self.settle}\nrescan_s = 1\nthreads = 1\nstop_timeout_s = 10\nreserve = "1 MB"\n{self.settings}\n{quiet}'
            f"[[inbox]]\npath = {json.dumps(str(self.inbox))}\nrecipe = {json.dumps(str(self.folder / 'recipe.toml'))}\n")

    # ---- drops

    def drop(self, name, rows=40):
        """A table, or (a name without a dot) a folder of it with a note; written aside and renamed in whole."""
        aside = self.inbox / f".{name}.aside"
        if "." in name:
            aside.write_text(sentences(rows))
        else:
            (aside / "notes").mkdir(parents=True)
            (aside / "data.csv").write_text(sentences(rows))
            (aside / "notes/readme.md").write_text("of nobody's interest\n")
        self.drops[name] = tree(aside)
        aside.rename(self.inbox / name)

    def was_cancelled(self, name):
        return name in self.cancelled

    # ---- the daemon

    def serve(self, prefix=(), env={}, wait=True):
        before = self.log().count("serving /")
        with open(self.log_file, "ab") as log:
            self.daemon = subprocess.Popen([*map(str, prefix), BINARIES / "finetuned", "--home", self.root, "serve"], stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, start_new_session=True, env={**os.environ, **env})
        if wait:
            self.wait(lambda: self.daemon.poll() is not None or before < self.log().count("serving /"), "the daemon serves")
            assert self.daemon.poll() is None, f"the daemon ended with {self.daemon.returncode}:\n{self.log()[-2000:]}"

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def pid(self):
        """Of the daemon itself, which another program may have started."""
        pid = self.daemon.pid
        while Path(f"/proc/{pid}/exe").resolve().name != "finetuned":
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def stop(self):
        """SIGTERM; its exit status."""
        if self.daemon.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                # Unless it ends at this moment.
                os.kill(self.pid(), signal.SIGTERM)
        return self.daemon.wait(60)

    def kill(self):
        """Everything of it, workers too."""
        if self.is_alive():
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()

    def is_alive(self):
        return self.daemon is not None and self.daemon.poll() is None

    # ---- what a person sees

    def finetuned(self, *args, timeout=60):
        return subprocess.run([BINARIES / "finetuned", "--home", self.root, *args], capture_output=True, text=True, timeout=timeout)

    def status(self):
        answer = self.finetuned("status", "--all", "--json")
        assert answer.returncode == 0, f"`status` fails: {answer.stdout}{answer.stderr}"
        return json.loads(answer.stdout)

    def jobs(self):
        return self.status()["jobs"]

    def failure(self, job):
        return json.loads(self.finetuned("show", str(job["id"]), "--json").stdout)["outcome"]["failure"]

    def states(self):
        return {it["name"]: it["state"] for it in self.jobs()}

    def runs(self):
        runs = self.root / "runs"
        return sorted(it for it in runs.iterdir() if it.name[:1].isdigit()) if runs.exists() else []

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}; the log ends:\n{self.log()[-2500:]}"
            time.sleep(0.03)

    def wait_for(self, *states, seconds=60):
        """Until each drop is a job in one of these states."""
        def there():
            found = self.states()
            return set(found) == set(self.drops) and all(it in states for it in found.values())
        self.wait(there, f"all are {' or '.join(states)}", seconds)

    def close(self):
        self.kill()
        shutil.rmtree(self.notes, ignore_errors=True)
        self.place.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
