"""Busy machines: how much longer a training takes where others want the cores, ours beside the Hugging Face Trainer's in
the same place. Prints ratios, asserts nothing.

Each contestant trains alone, beside two processes that compute without end, and beside a second training of ours and of the
Trainer, which are begun anew until the measured one is over. On two cores a fair share is a half: a ratio of 2. `together`
is how long two trainings of ours take that begin at once, over twice as long as one alone. Nothing else may run meanwhile.
"""
import argparse, contextlib, os, signal, subprocess, sys, tempfile, threading, time
from functools import partial
from pathlib import Path

import bench, texts

THREADS = 2
CASE = (1, 1e-4, False)


@contextlib.contextmanager
def loops(_):
    """As many as there are cores, each with a core's worth to do."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(THREADS)]
    try:
        yield
    finally:
        for it in running:
            it.kill()
            it.wait()


@contextlib.contextmanager
def beside(play, tmp):
    """A training that is begun anew whenever it ends; the measured one begins when it has been at it for a while."""
    over = threading.Event()

    def again():
        while not over.is_set():
            command = [sys.executable, __file__, "--one", play, "--folder", tempfile.mkdtemp(dir=tmp), "--data", tmp / "data"]
            with subprocess.Popen([str(it) for it in command], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                while process.poll() is None and not over.wait(0.1):
                    pass
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        time.sleep(8)
        yield
    finally:
        over.set()
        thread.join()


def seconds(play, tmp):
    return PLAYS[play](Path(tempfile.mkdtemp(dir=tmp)), data=tmp / "data", case=CASE, seed=0)[0]


def together(tmp):
    """Two of ours that begin at once, with as many threads as a daemon of two workers gives each: until the later one is over."""
    found = []
    bench.THREADS = THREADS // 2
    threads = [threading.Thread(target=lambda: found.append(seconds("ours", tmp))) for _ in range(2)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    bench.THREADS = THREADS
    return max(found)


PLAYS = {"ours": bench.ours, "Trainer": bench.trainer}
PLACES = {"alone": lambda _: contextlib.nullcontext(), "two busy loops": loops, "ours": partial(beside, "ours"), "the Trainer": partial(beside, "Trainer")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=640, help="training tweets")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=PLAYS, help="one contestant")
    parser.add_argument("--one", choices=PLAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        PLAYS[args.one](args.folder, data=args.data, case=CASE, seed=0)
        return
    with tempfile.TemporaryDirectory(prefix="finetuned-busy-", ignore_cleanup_errors=True) as tmp:
        tmp = Path(tmp)
        texts.write("tweets", bench.ASSETS, tmp / "data", args.rows, 64)
        print("| beside | " + " | ".join(f"{it}, s (ratio)" for it in PLAYS) + " |\n| --- |" + " --- |" * len(PLAYS), flush=True)
        for _ in range(args.rounds):
            alone = {}
            for place, among in PLACES.items():
                cells = []
                for play in PLAYS:
                    if args.only not in (None, play):
                        cells.append("-")
                        continue
                    with among(tmp):
                        found = seconds(play, tmp)
                    alone.setdefault(play, found)
                    cells.append(f"{found:.1f} ({found / alone[play]:.2f})")
                print(f"| {place} | " + " | ".join(cells) + " |", flush=True)
            if "ours" in alone:
                both = together(tmp)
                print(f"two of ours at once: {both:.1f} s, {both / alone['ours'] / 2:.2f} of one after the other", flush=True)


if __name__ == "__main__":
    main()
