"""The stretches whose every system call meets a fault: claim, copy, recovery, queue and release, training and proof."""
import sqlite3

from enumeration import Stretch
from home import Home


def two_drops(home):
    home.drop("a.csv")
    home.drop("reviews")
    return home


def served_once(place, **kind):
    """A home whose database is there already."""
    home = Home(place, jobs=False, **kind)
    home.serve()
    home.wait(lambda: any((home.root / "backups").glob("finetuned-*.db")), "the database is backed up")
    assert home.stop() == 0
    return home


def queued(home):
    """Each drop is a job, and its bytes are with it."""
    states = home.states()
    left = [it for it in home.inbox.iterdir() if not it.name.startswith(".finetuned-")]
    return not left and set(states) == set(home.drops) and set(states.values()) == {"queued"} and all(is_with_its_job(home, it) for it in home.drops)


def is_with_its_job(home, name):
    return any((run / "drop" / name).exists() and not (run / "drop/.partial").exists() for run in home.runs())


def done(home):
    states = home.states()
    return set(states) == set(home.drops) and set(states.values()) == {"done"} and not any(home.inbox.iterdir())


def first_start(place):
    return two_drops(Home(place, jobs=False))


def claim(place):
    return two_drops(served_once(place))


def copy(place):
    return two_drops(served_once(place, far=True))


def unfinished(place):
    """What daemons leave that are killed between any two steps: a row without its rename, half a copy, a copy without its
    row, a folder under construction."""
    home = copy(place)
    home.serve()
    home.wait(lambda: queued(home), "both are queued")
    assert home.stop() == 0
    rows = sqlite3.connect(home.root / "finetuned.db")
    first, run = rows.execute("SELECT id, run FROM jobs WHERE name = 'a.csv'").fetchone()
    (trigger,) = rows.execute("SELECT sql FROM sqlite_master WHERE name = 'a_job_goes_a_legal_way'").fetchone()
    rows.execute("DROP TRIGGER a_job_goes_a_legal_way")
    rows.execute("UPDATE jobs SET state = 'claiming', original = NULL, copied = 1 WHERE id = ?", [first])
    rows.execute("UPDATE jobs SET copied = 0 WHERE id <> ?", [first])
    rows.execute(trigger)
    rows.commit()
    rows.close()
    next(home.inbox.glob(f".finetuned-{run}-*")).rename(home.inbox / "a.csv")
    drop = home.root / "runs" / run / "drop"
    (drop / "a.csv").unlink()
    (drop / ".partial").write_text("text,la")
    (home.root / "runs/.new-4711/drop").mkdir(parents=True)
    return home


def waiting(place):
    """A job that waits for nothing but the hours."""
    home = Home(place, far=True, jobs=False)
    home.drop("a.csv")
    home.serve()
    home.wait(lambda: queued(home), "it is queued")
    assert home.stop() == 0
    home.configure(jobs=True)
    return home


STRETCHES = [
    Stretch("first start", "finetuned", first_start, queued),
    Stretch("claim", "finetuned", claim, queued),
    Stretch("copy", "finetuned", copy, queued),
    Stretch("recovery", "finetuned", unfinished, queued),
    Stretch("queue and release", "finetuned", waiting, done, finishes=True, seconds=60),
    Stretch("training and proof", "finetuned-worker", waiting, done, finishes=True, seconds=90),
]
