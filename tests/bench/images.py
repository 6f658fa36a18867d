"""Speed and memory of models of images beside timm in a plain PyTorch loop: prints ratios, asserts nothing.

As bench.py: whole processes, one after the other, from start to saved model (ours also to the proof and the
report). Nothing else may run meanwhile. The full set is 1,800 images at 224 pixels.
"""
import argparse, json, sys, tempfile, time
from functools import partial
from pathlib import Path

import image_data
from bench import ASSETS, BATCH, FINETUNED, contest, reference, run

SIDE = 224
# Name: epochs, learning rate, whether only the head trains.
CASES = {"head": (10, 1e-3, True), "full": (1, 2e-4, False)}
BASE = ASSETS / "models/efficientnet-lite0"


def first_step_at(folder):
    """Seconds since 1970."""
    lines = (json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines())
    return next(it["at_ms"] for it in lines if it["event"]["kind"] == "step") / 1000


def ours(folder, data, case, seed):
    start = time.time()
    seconds, *found = run(folder, BASE, data, case, seed, f'model.image_size = {SIDE}\naugment.preset = "none"', 0.0)
    return seconds, first_step_at(folder / "ours") - start, *found


def timm(folder, data, case, seed):
    start = time.time()
    seconds, memory, said = reference("timm_loop.py", folder, BASE, data, case, seed)
    return seconds, said["first_step"] - start, memory, said["accuracy"], said["macro_f1"]


def compare(tmp, data, name, seeds, epochs):
    case = (epochs or CASES[name][0], *CASES[name][1:])
    print(f"\n{name}: {case[0]} epochs, learning rate {case[1]:g}, batch {BATCH}, {SIDE} pixels", flush=True)
    columns = {"seconds": ".1f", "first step": ".1f", "MB": ".0f", "accuracy": ".4f", "macro F1": ".4f"}
    contestants = {it.__name__: partial(it, data=data, case=case) for it in (ours, timm)}
    a, b = contest(columns, contestants, tmp, seeds)
    print(f"ours is {b[0] / a[0]:.2f} times as fast, at its first step after {a[1] / b[1]:.2f} of the time, takes {a[2] / b[2]:.2f} of the memory,"
          f" scores {a[3] - b[3]:+.4f} accuracy, {a[4] - b[4]:+.4f} macro F1 (means of {seeds} seed{'s' * (1 < seeds)})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=list(CASES), help=f"of {' and '.join(CASES)}; default: both")
    parser.add_argument("--rows", type=int, default=1800, help="training images")
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
        images.write(ASSETS, tmp / "data", args.rows, args.test_rows)
        for name in args.what:
            compare(tmp, tmp / "data", name, args.seeds, args.epochs)


if __name__ == "__main__":
    main()
