"""Speed and memory beside the Hugging Face Trainer, and what the daemon costs: prints ratios, asserts nothing.

Both are whole processes from start to saved model (ours also to the proof and the report), run one after the
other with the same seeds: ours, the Trainer, ours, the Trainer, … Seconds are wall time; memory is the peak of
the largest process. `bench.py` alone is the full measurement and takes hours; `--rows 600 --seeds 1` takes
minutes. Nothing else may run meanwhile.
"""
import argparse, json, os, signal, statistics, subprocess, sys, tempfile, time
from functools import partial
from pathlib import Path

import texts

ROOT = Path(__file__).resolve().parents[2]
FINETUNED = ROOT / "target/release/finetuned"
ASSETS = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets"))
BATCH, MAX_TOKENS, THREADS = 32, 256, 2
# Name: epochs, learning rate, whether only the head trains.
CASES = {"full": (1, 1e-4, False), "head": (10, 1e-3, True)}
# What the references do by default, and nothing else: no warm-up, no decay, no early stop.
RECIPE = """model.base = {base}
{more}
[freeze]
train = ["{train}"]
[train]
method = "full"
epochs = {epochs}
batch = {batch}
lr = {lr}
schedule = "linear"
warmup = 0.0
weight_decay = 0.0
clip = {clip}
patience = 0
seed = {seed}
"""
STATUS_CALLS = 50
IDLE_SECONDS = 30


def measured(command, log, env):
    """Wall seconds, peak memory in MB of the largest process, and the last line of output."""
    output = log.with_suffix(".out")
    with open(output, "wb") as out, open(log, "wb") as err:
        start = time.monotonic()
        process = subprocess.Popen([str(it) for it in command], stdout=out, stderr=err, env=env)
        # The figures of a process hold those of the children that it waited for: of memory, the largest.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = output.read_text(errors="replace")[-1000:] + log.read_text(errors="replace")[-3000:]
        sys.exit(f"{' '.join(map(str, command))}\nended with {process.returncode}:\n{said}")
    return seconds, usage.ru_maxrss * 1024 / 1e6, json.loads(output.read_text().splitlines()[-1])


def environment(home):
    """The same for both: as many threads, and no word to any hub."""
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return dict(os.environ, **threads, FINETUNED_HOME=str(home), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true")


def run(folder, base, data, case, seed, more, clip, metrics=("accuracy", "macro_f1")):
    """Ours, in a home of its own, where no features of an earlier run are found: seconds, MB, and these metrics."""
    epochs, lr, head_only = case
    recipe, home = folder / "recipe.toml", folder / "home"
    recipe.write_text(RECIPE.format(base=json.dumps(str(base)), more=more, train="head" if head_only else "all", epochs=epochs, batch=BATCH, lr=lr,
                                    clip=clip, seed=seed))
    home.mkdir()
    (home / "config.toml").write_text(f"threads = {THREADS}\n")
    command = [FINETUNED, "run", data, "--recipe", recipe, "--out", folder / "ours", "--json"]
    seconds, memory, done = measured(command, folder / "ours.log", environment(home))
    return seconds, memory, *(done["scores"]["metrics"][it] for it in metrics)


def reference(script, folder, base, data, case, seed, *more):
    """Another's program: seconds, MB, and what it said at its end."""
    epochs, lr, head_only = case
    command = [sys.executable, Path(__file__).with_name(script), "--base", base, "--data", data, "--out", folder / "reference",
               "--epochs", epochs, "--batch", BATCH, "--lr", lr, "--threads", THREADS, "--seed", seed, *more]
    return measured(command + ["--head-only"] * head_only, folder / "reference.log", environment(folder))


def contest(columns, contestants, tmp, seeds):
    """Each in turn with the same seeds, in folders of their own. A table, and each one's means. `columns`: heading -> format
    of a number; `contestants`: name -> what plays in a folder with a seed."""
    width = max(map(len, contestants))
    print(f"{'':{width}} {'seed':>4} {' '.join(f'{heading:>10}' for heading in columns)}", flush=True)
    rows = {name: [] for name in contestants}
    for seed in range(seeds):
        for name, play in contestants.items():
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-{seed}-", dir=tmp))
            rows[name].append(play(folder, seed=seed))
            numbers = " ".join(f"{format(it, form):>10}" for it, form in zip(rows[name][-1], columns.values()))
            print(f"{name:{width}} {seed:4} {numbers}", flush=True)
    return [[statistics.mean(column) for column in zip(*found)] for found in rows.values()]


def ours(folder, data, case, seed):
    return run(folder, ASSETS / "models/minilm", data, case, seed, f"data.max_tokens = {MAX_TOKENS}", 1.0)


def trainer(folder, data, case, seed):
    seconds, memory, scores = reference("trainer.py", folder, ASSETS / "models/minilm", data, case, seed, "--max-tokens", MAX_TOKENS)
    return seconds, memory, scores["accuracy"], scores["macro_f1"]


def compare(tmp, set_name, case_name, seeds, rows, test_rows, epochs):
    data = tmp / f"{set_name}-{rows}"
    if not data.exists():
        texts.write(set_name, ASSETS, data, rows, test_rows)
    case = (epochs or CASES[case_name][0], *CASES[case_name][1:])
    print(f"\n{set_name}, {rows} training texts, {case_name}: {case[0]} epochs, learning rate {case[1]:g}, batch {BATCH}, at most {MAX_TOKENS} tokens", flush=True)
    columns = {"seconds": ".1f", "MB": ".0f", "accuracy": ".4f", "macro F1": ".4f"}
    contestants = {it.__name__: partial(it, data=data, case=case) for it in (ours, trainer)}
    a, b = contest(columns, contestants, tmp, seeds)
    print(f"ours is {b[0] / a[0]:.2f} times as fast, takes {a[1] / b[1]:.2f} of the memory, scores {a[2] - b[2]:+.4f} accuracy, {a[3] - b[3]:+.4f} macro F1"
          f" (means of {seeds} seed{'s' * (1 < seeds)})", flush=True)


def daemon(tmp):
    """What the daemon costs while nothing is dropped, and how long a question takes."""
    home = tmp / "idle"
    (home / "inbox").mkdir(parents=True)
    env = environment(home)
    with open(tmp / "daemon.log", "wb") as log:
        process = subprocess.Popen([FINETUNED, "serve"], env=env, stdout=log, stderr=log)
    try:
        time.sleep(3)
        if process.poll() is not None:
            sys.exit(f"the daemon ended:\n{(tmp / 'daemon.log').read_text()}")
        before, start = cpu_seconds(process.pid), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (cpu_seconds(process.pid) - before) / (time.monotonic() - start)
        status = [line.split() for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()]
        memory = next(int(line[1]) for line in status if line[0] == "VmRSS:") * 1024 / 1e6
        calls = sorted(call([FINETUNED, "status"], env) for _ in range(STATUS_CALLS))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    print(f"\nidle daemon, {IDLE_SECONDS} s: {memory:.1f} MB, {share:.3%} of a core")
    print(f"finetuned status, {STATUS_CALLS} calls: median {statistics.median(calls) * 1e3:.1f} ms, slowest {calls[-1] * 1e3:.1f} ms", flush=True)


def cpu_seconds(pid):
    """Time on a core of all threads, which the kernel counts in nanoseconds."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def call(command, env):
    start = time.monotonic()
    subprocess.run([str(it) for it in command], env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=[*CASES, "daemon"], help=f"of {', '.join(CASES)} and daemon; default: all")
    parser.add_argument("--set", choices=texts.SETS, default="news")
    parser.add_argument("--rows", type=int, default=1372, help="training texts")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of a case's own (full: 1, head: 10)")
    args = parser.parse_args()
    if not set(args.what) <= {*CASES, "daemon"}:
        parser.error(f"what to measure: {', '.join(CASES)} or daemon")
    if not FINETUNED.exists():
        sys.exit(f"{FINETUNED} is missing: `make build` makes it")
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        tmp = Path(tmp)
        for what in args.what:
            if what == "daemon":
                daemon(tmp)
            else:
                compare(tmp, args.set, what, args.seeds, args.rows, args.test_rows, args.epochs)


if __name__ == "__main__":
    main()
