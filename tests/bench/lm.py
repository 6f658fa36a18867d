"""Language models beside TRL, peft and the Hugging Face Trainer: instructions and preferences with LoRA on SmolLM2-135M, masked
tokens on MiniLM. Prints seconds, peak memory, scores and ratios; asserts nothing.

Whole processes from start to saved model, ours to proof and report too; same weights, rows, order of magnitude of everything that a
recipe names, two threads, fp32 in theirs. Both models are scored by one program of the reference's (lm_peers.py score), which is
not measured. `lm.py instructions` alone is one of the three. Nothing else may run meanwhile.
"""
import argparse, json, random, subprocess, sys, tempfile
from functools import partial
from pathlib import Path

import texts
from bench import ASSETS, FINETUNED, THREADS, contest, environment, measured

PEERS = Path(__file__).with_name("lm_peers.py")
SMOLLM2, MINILM = ASSETS / "models/smollm2", ASSETS / "models/minilm"
# Of each: training rows, held-out rows, base, learning rate, batch, longest text, the score and whether more of it is better, the rest of
# our recipe. Those of validation are a tenth of the training rows.
CASES = {
    "instructions": (300, 60, SMOLLM2, 2e-4, 8, 256, "perplexity", False, 'task = "text-generation"\n[adapter]\nr = 16\nlora_alpha = 32\ntarget_modules = "all-linear"\n'),
    "preferences": (60, 60, SMOLLM2, 5e-5, 4, 512, "accuracy", True, 'task = "preference"\n[adapter]\nr = 16\nlora_alpha = 32\ntarget_modules = "all-linear"\n'),
    "masked": (600, 200, MINILM, 1e-4, 16, 128, "perplexity", False, 'task = "masked-language-modeling"\n'),
}
RECIPE = """model.base = {base}
data.max_tokens = {max_tokens}
{more}[train]
epochs = {epochs}
batch = {batch}
lr = {lr}
head_lr = {lr}
schedule = "linear"
warmup = 0.0
weight_decay = 0.0
patience = 0
precision = "{precision}"
seed = {seed}
"""


def turn(role, text):
    return {"role": role, "content": text}


def instructions():
    for row in json.loads((ASSETS / "data/instructions/alpaca.json").read_text(encoding="utf-8")):
        asked = "\n\n".join(it for it in (row["instruction"], row["input"]) if it)
        yield {"prompt": [turn("user", asked)], "completion": [turn("assistant", row["output"])]}


def preferences():
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    read = lambda it: turn(roles[it["from"]], it["value"])
    for row in json.loads((ASSETS / "data/preferences/pairs.json").read_text(encoding="utf-8")):
        yield {"prompt": [read(it) for it in row["conversations"]], "chosen": [read(row["chosen"])], "rejected": [read(row["rejected"])]}


def masked():
    yield from ({"text": text} for text, _ in texts.news(ASSETS))


def write(name, folder, rows, test_rows):
    """Each row once, in an order that is drawn."""
    drawn = list({json.dumps(it, ensure_ascii=False): None for it in {"instructions": instructions, "preferences": preferences, "masked": masked}[name]()})
    random.Random(0).shuffle(drawn)
    folder.mkdir()
    for part, count in (("test", test_rows), ("validation", max(1, rows // 10)), ("train", rows)):
        if len(drawn) < count:
            raise SystemExit(f"{name} has too few rows for {count} in {part}")
        (folder / f"{part}.jsonl").write_text("\n".join(drawn[:count]) + "\n", encoding="utf-8")
        drawn = drawn[count:]


def score(name, model, data, folder):
    """By the reference's libraries, whoever made the model."""
    *_, max_tokens, metric, _, _ = CASES[name]
    command = [sys.executable, PEERS, "score", name, "--base", model, "--data", data, "--max-tokens", max_tokens, "--threads", THREADS]
    done = subprocess.run([str(it) for it in command], env=environment(folder), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{model} can't be scored (see above)")
    return json.loads(done.stdout.splitlines()[-1])[metric]


def ours(folder, name, data, epochs, precision, seed):
    _, _, base, lr, batch, max_tokens, _, _, more = CASES[name]
    recipe, home = folder / "recipe.toml", folder / "home"
    top, _, tables = more.partition("[")
    recipe.write_text(top + RECIPE.format(base=json.dumps(str(base)), max_tokens=max_tokens, more=f"[{tables}" if tables else "", epochs=epochs, batch=batch, lr=lr,
                                          precision=precision, seed=seed))
    home.mkdir()
    (home / "config.toml").write_text(f"threads = {THREADS}\n")
    command = [FINETUNED, "run", data, "--recipe", recipe, "--out", folder / "ours", "--json"]
    seconds, memory, _ = measured(command, folder / "ours.log", environment(home))
    return seconds, memory, score(name, folder / "ours/model", data, folder)


def peers(folder, name, data, epochs, checkpointing, seed):
    _, _, base, lr, batch, max_tokens, *_ = CASES[name]
    command = [sys.executable, PEERS, "train", name, "--base", base, "--data", data, "--out", folder / "peers", "--epochs", epochs, "--batch", batch, "--lr", lr,
               "--max-tokens", max_tokens, "--threads", THREADS, "--seed", seed] + ["--checkpointing"] * checkpointing
    seconds, memory, _ = measured(command, folder / "peers.log", environment(folder))
    return seconds, memory, score(name, folder / "peers/model", data, folder)


def compare(tmp, name, args):
    rows, test_rows, base, lr, batch, max_tokens, metric, more_is_better, _ = CASES[name]
    rows = args.rows or rows
    data = tmp / name
    write(name, data, rows, test_rows)
    print(f"\n{name}, {rows} training rows, {base.name}: {args.epochs} epochs, learning rate {lr:g}, batch {batch}, at most {max_tokens} tokens", flush=True)
    print(f"the base: {metric} {score(name, base, data, tmp):.4f}", flush=True)
    contestants = {
        "ours": partial(ours, name=name, data=data, epochs=args.epochs, precision=args.precision),
        "peers": partial(peers, name=name, data=data, epochs=args.epochs, checkpointing=args.checkpointing),
    }
    a, b = contest({"seconds": ".1f", "MB": ".0f", metric: ".4f"}, contestants, tmp, args.seeds)
    better = (a[2] - b[2]) * (1 if more_is_better else -1)
    print(f"ours is {b[0] / a[0]:.2f} times as fast, takes {a[1] / b[1]:.2f} of the memory, {metric} {a[2] - b[2]:+.4f} ({'better' if 0 < better else 'no better'};"
          f" means of {args.seeds} seed{'s' * (1 < args.seeds)})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rows", type=int, help="training rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="auto", help="ours: auto, fp32 or bf16")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing in theirs, which is TRL's default: slower, less memory")
    args = parser.parse_args()
    if other := [it for it in args.cases if it not in CASES]:
        parser.error(f"{other[0]} is none of {', '.join(CASES)}")
    if not FINETUNED.exists():
        sys.exit(f"{FINETUNED} is missing: `make build` makes it")
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        for name in args.cases or CASES:
            compare(Path(tmp), name, args)


if __name__ == "__main__":
    main()
