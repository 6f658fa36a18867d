"""What must be true of a home after any fault, once a daemon has had its time: one function, for every kind of fault.

Every byte dropped lies in exactly one place that a person can find; no `done` on a part; every visible model is whole and
proven; the database is as the folders are. That the daemon is alive, or restarts, is asked by whoever made the fault.
"""
import json

from home import tree


class Violation(AssertionError):
    pass


def check(home, weights=None):
    """`weights`: of the model that a run without any fault gives; the same bits are expected."""
    wrong = []
    jobs = home.jobs()
    for name, expected in home.drops.items():
        wrong += [f"{name}: {it}" for it in custody(home, name, expected, [it for it in jobs if it["name"] == name])]
    wrong += [f"job {it['id']} is of no drop: {it['name']}" for it in jobs if it["name"] not in home.drops]
    for job in jobs:
        if job["name"] in home.drops:
            wrong += [f"job {job['id']} ({job['state']}): {it}" for it in job_is_true(home, job, weights)]
    for run in home.runs():
        model = run / "model"
        if model.exists() and not is_whole(model, weights):
            wrong.append(f"{model} is visible and not whole")
    wrong += [f"{it} was left" for it in litter(home)]
    if wrong:
        raise Violation("; ".join(wrong))


def custody(home, name, expected, jobs):
    """Where a drop lies, and whether its row says so."""
    if 1 < len(jobs):
        yield f"{len(jobs)} jobs of one drop"
    visible = [it for it in [home.inbox / name, *(run / "drop" / name for run in home.runs())] if it.exists() or it.is_symlink()]
    beginnings = tuple(f".finetuned-{run_of(job)}-" for job in jobs)
    hidden = [it for it in home.inbox.iterdir() if beginnings and it.name.startswith(beginnings)]
    for place in visible + hidden:
        if tree(place) != expected and not place.name.endswith("-removed"):
            yield f"{place} is not what was dropped"
    if len(visible) != 1 and not (hidden and not visible):
        yield f"it lies in {len(visible)} places: {[str(it) for it in visible + hidden]}"
    if not jobs and visible != [home.inbox / name]:
        yield "it has left the inbox and is no job"
    for job in jobs:
        if job["state"] == "claiming":
            yield "its claim was never finished"
        if job["state"] == "cancelled" and not home.was_cancelled(name):
            yield f"it was cancelled by nobody: {job['reason']}"
        if visible and visible[0].parent == home.inbox:
            yield f"it is job {job['id']} ({job['state']}) and lies in its inbox still"


def run_of(job):
    return job["run"].rsplit("/", 1)[1]


def job_is_true(home, job, weights):
    run = home.root / "runs" / run_of(job)
    if not run.is_dir():
        yield f"{run} is missing"
        return
    if job["state"] == "done":
        if not (run / "done.json").exists():
            yield "it has no done.json"
        if not is_whole(run / "model", weights):
            yield "its model is not whole"
        rows = sum(len(it.splitlines()) - 1 for path, it in home.drops[job["name"]].items() if path.endswith("csv") or not path)
        read = sum(it.get("rows", 0) for it in json.loads((run / "data.json").read_text())["files"])
        if read != rows:
            yield f"done on {read} rows of {rows}"
    if job["state"] in ("failed", "quarantined") and not (job["reason"] or "").strip():
        yield "it gives no reason"


def is_whole(model, weights):
    names = {it.name for it in model.iterdir()} if model.is_dir() else set()
    if not {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names:
        return False
    return weights is None or (model / "model.safetensors").read_bytes() == weights


def litter(home):
    """What is under construction is nobody's concern while it is made, and rubbish afterwards."""
    runs = home.root / "runs"
    if runs.exists():
        yield from (it for it in runs.iterdir() if it.name.startswith((".new-", ".removed-")))
        yield from runs.glob("*/drop/.partial")
