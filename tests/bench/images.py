"""Speed and memory of models of pictures beside timm in a plain PyTorch loop: prints ratios, asserts nothing.

As bench.py: whole processes, one after the other, from start to saved model (ours also to the proof and the
report). Nothing else may run meanwhile. The full set is 1,800 pictures at 224 pixels.
"""
import argparse, json, statistics, sys, tempfile, time
from pathlib import Path

import pictures
from bench import ASSETS, FINETUNED, THREADS, environment, measured

BATCH, SIDE = 32, 224
# Name: epochs, learning rate, whether only the head trains.
CASES = {"head": (10, 1e-3, True), "full": (1, 2e-4, False)}
BASE = ASSETS / "models/efficientnet-lite0"
RECIPE = """model.base = {base}
model.image_size = {side}
augment.preset = "none"
[freeze]
train = ["{train}"]
[train]
epochs = {epochs}
batch = {batch}
lr = {lr}
schedule = "linear"
warmup = 0.0
weight_decay = 0.0
clip = 0.0
patience = 0
seed = {seed}
"""


def first_step_at(run):
    """Seconds since 1970."""
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return next(it["at_ms"] for it in lines if it["event"]["kind"] == "step") / 1000


def ours(folder, data, case, seed):
    epochs, lr, head_only = case
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(base=json.dumps(str(BASE)), side=SIDE, train="head" if head_only else "all", epochs=epochs, batch=BATCH, lr=lr, seed=seed))
    # A home of its own: features of an earlier run would be found again.
    home = folder / "home"
    home.mkdir()
    (home / "config.toml").write_text(f"threads = {THREADS}\n")
    start = time.time()
    command = [FINETUNED, "run", data, "--recipe", recipe, "--out", folder / "ours", "--json"]
    seconds, memory, done = measured(command, folder / "ours.log", environment(home))
    metrics = done["scores"]["metrics"]
    return seconds, first_step_at(folder / "ours") - start, memory, metrics["accuracy"], metrics["macro_f1"]


def timm(folder, data, case, seed):
    epochs, lr, head_only = case
    command = [sys.executable, Path(__file__).with_name("timm_loop.py"), "--base", BASE, "--data", data, "--out", folder / "timm",
               "--epochs", epochs, "--batch", BATCH, "--lr", lr, "--threads", THREADS, "--seed", seed]
    start = time.time()
    seconds, memory, said = measured(command + ["--head-only"] * head_only, folder / "timm.log", environment(folder))
    return seconds, said["first_step"] - start, memory, said["accuracy"], said["macro_f1"]


def compare(tmp, data, name, seeds, epochs):
    case = (epochs or CASES[name][0], *CASES[name][1:])
    print(f"\n{name}: {case[0]} epochs, learning rate {case[1]:g}, batch {BATCH}, {SIDE} pixels", flush=True)
    print(f"{'':6} {'seed':>4} {'seconds':>9} {'first step':>11} {'MB':>7} {'accuracy':>9} {'macro F1':>9}", flush=True)
    results = {ours: [], timm: []}
    for seed in range(seeds):
        for contestant, found in results.items():
            folder = tmp / f"{name}-{seed}-{contestant.__name__}"
            folder.mkdir()
            found.append(contestant(folder, data, case, seed))
            seconds, first, memory, accuracy, f1 = found[-1]
            print(f"{contestant.__name__:6} {seed:4} {seconds:9.1f} {first:11.1f} {memory:7.0f} {accuracy:9.4f} {f1:9.4f}", flush=True)
    a, b = ([statistics.mean(column) for column in zip(*results[who])] for who in (ours, timm))
    print(f"ours is {b[0] / a[0]:.2f} times as fast, at its first step after {a[1] / b[1]:.2f} of the time, takes {a[2] / b[2]:.2f} of the memory,"
          f" scores {a[3] - b[3]:+.4f} accuracy, {a[4] - b[4]:+.4f} macro F1 (means of {seeds} seed{'s' * (1 < seeds)})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=list(CASES), help=f"of {' and '.join(CASES)}; default: both")
    parser.add_argument("--rows", type=int, default=1800, help="training pictures")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, help="instead of a case's own (head: 10, full: 1)")
    args = parser.parse_args()
    if not set(args.what) <= {*CASES}:
        parser.error(f"what to measure: {' or '.join(CASES)}")
    if not FINETUNED.exists():
        sys.exit(f"{FINETUNED} is missing: `make build` makes it")
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        tmp = Path(tmp)
        pictures.write(ASSETS, tmp / "data", args.rows, args.test_rows)
        for name in args.what:
            compare(tmp, tmp / "data", name, args.seeds, args.epochs)


if __name__ == "__main__":
    main()
