"""Token classification beside the Hugging Face Trainer: tweets with ten types of entities, same weights, sentences, epochs
and batch. Prints seconds, peak memory, entity F1 and token accuracy of the held-out sentences, and ratios; asserts
nothing. Nothing else may run meanwhile.
"""
import argparse, random, sys, tempfile
from functools import partial
from pathlib import Path

from bench import ASSETS, BATCH, FINETUNED, MAX_TOKENS, contest, reference, run

BASE, LR = ASSETS / "models/minilm", 1e-4
VALIDATION, TEST = 100, 500


def sentences():
    """Each once, in an order that is drawn. Those that stand in the file twice (retweets) would be learnt from and scored by
    whoever does not look for them."""
    text = (ASSETS / "data/ner/ner.txt").read_text(encoding="utf-8")
    of_words, words = {}, []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            words.append(line)
        elif words:
            of_words[tuple(it.split("\t")[0] for it in words)] = "\n".join(words)
            words = []
    drawn = list(of_words.values())
    random.Random(0).shuffle(drawn)
    return drawn


def write(folder, rows):
    """Train, validation and test."""
    drawn, held_out = sentences(), VALIDATION + TEST
    folder.mkdir()
    parts = {"validation": drawn[:VALIDATION], "test": drawn[VALIDATION:held_out], "train": drawn[held_out:][:rows]}
    for name, part in parts.items():
        (folder / f"{name}.conll").write_text("\n\n".join(part) + "\n", encoding="utf-8")


def ours(folder, data, case, seed):
    return run(folder, BASE, data, case, seed, f"data.max_tokens = {MAX_TOKENS}", 1.0, ("entity_f1", "token_accuracy"))


def trainer(folder, data, case, seed):
    seconds, memory, scores = reference("ner_trainer.py", folder, BASE, data, case, seed, "--max-tokens", MAX_TOKENS)
    return seconds, memory, scores["entity_f1"], scores["token_accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1695, help="training sentences")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    if not FINETUNED.exists():
        sys.exit(f"{FINETUNED} is missing: `make build` makes it")
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        data = Path(tmp) / "ner"
        write(data, args.rows)
        case = (args.epochs, LR, False)
        print(f"{args.rows} training sentences, {TEST} held out: {args.epochs} epochs, learning rate {LR:g}, batch {BATCH}", flush=True)
        columns = {"seconds": ".1f", "MB": ".0f", "entity F1": ".4f", "accuracy": ".4f"}
        contestants = {it.__name__: partial(it, data=data, case=case) for it in (ours, trainer)}
        a, b = contest(columns, contestants, tmp, args.seeds)
        print(f"ours is {b[0] / a[0]:.2f} times as fast, takes {a[1] / b[1]:.2f} of the memory, scores {a[2] - b[2]:+.4f} entity F1"
              f" (means of {args.seeds} seed{'s' * (1 < args.seeds)})", flush=True)


if __name__ == "__main__":
    main()
