#!/usr/bin/env python3
"""From nothing to a proven model, as a user would see it: `demo.py texts|images|chat ASSETS` (after `make build assets`).

Starts the real daemon on a temporary home, drops a data set into its inbox, follows the job and prints what came
of it. The home is left, since the model lies in it.
"""
import json, os, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FINETUNED = ROOT / "target/release/finetuned"
ROWS, INSTRUCTIONS = 3000, 300
# Samples that are shown, characters of each text, and what the finished model is asked.
SHOWN, CHARS, QUESTION = 2, 400, "Name three things that a small shop should write down every evening."


def tweets(assets, partial):
    subprocess.run([sys.executable, ROOT / "tests/assets/sample.py", assets / "data/tweets", str(ROWS), partial], check=True)


def fashion(assets, partial):
    shutil.copytree(assets / "data/fashion-mnist-small", partial)


def instructions(assets, partial):
    rows = json.loads((assets / "data/instructions/alpaca.json").read_text(encoding="utf-8"))
    partial.write_text(json.dumps(rows[:INSTRUCTIONS]), encoding="utf-8")


# What `make demo`, `make demo-images` and `make demo-chat` train: name in the inbox, what is said of it, what puts it there, base model, the rest
# of the recipe. Everything else is decided by finetuned and stands in plan.json.
DEMOS = {
    "texts": ("tweets.csv", f"{ROWS:,} of the tweets", tweets, "minilm", 'data.text = "text"\ndata.label = "sentiment"\ndata.test = 0.2\ntrain.epochs = 3\n'),
    "images": ("fashion", "2,000 + 500 images of clothes", fashion, "efficientnet-lite0", 'model.image_size = 96\nfreeze.train = ["head"]\n'),
    "chat": ("instructions.json", f"{INSTRUCTIONS} instructions with their answers", instructions, "smollm2", 'data.max_tokens = 256\ndata.test = 0.1\ntrain.epochs = 1\n[adapter]\n'),
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in DEMOS:
        sys.exit(__doc__)
    demo, assets = DEMOS[sys.argv[1]], Path(sys.argv[2]).resolve()
    home = Path(tempfile.mkdtemp(prefix="finetuned-demo-"))
    inbox = home / "inbox"
    inbox.mkdir()
    *_, base, rest = demo
    (home / "demo.toml").write_text(f"model.base = {json.dumps(str(assets / 'models' / base))}\n{rest}")
    (home / "config.toml").write_text(f'[[inbox]]\npath = {json.dumps(str(inbox))}\nrecipe = {json.dumps(str(home / "demo.toml"))}\n')
    env = dict(os.environ, FINETUNED_HOME=str(home))
    print(f"home: {home}\n$ finetuned serve &", flush=True)
    with open(home / "daemon.log", "w") as log:
        daemon = subprocess.Popen([FINETUNED, "serve"], env=env, stdout=log, stderr=log)
    try:
        code = drop_and_follow(demo, assets, home, env, daemon)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
    sys.exit(code)


def drop_and_follow(demo, assets, home, env, daemon):
    name, said, put, *_ = demo
    start = time.monotonic()
    print(f"$ cp -r {name} {home / 'inbox'}   # {said}", flush=True)
    partial = home / "inbox" / f"{name}.part"
    put(assets, partial)
    partial.rename(home / "inbox" / name)
    while not list((home / "runs").glob("*/spec.json")):
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended:\n{(home / 'daemon.log').read_text()}")
        time.sleep(0.1)
    print("$ finetuned logs -f 1", flush=True)
    subprocess.run([FINETUNED, "logs", "-f", "1"], env=env)
    print("$ finetuned show 1", flush=True)
    shown = subprocess.run([FINETUNED, "show", "1"], env=env)
    say_samples(home, env)
    print(f"\nfrom the drop to here: {time.monotonic() - start:.0f} s", flush=True)
    return shown.returncode


def say_samples(home, env):
    """What a language model says before and after, and to a question of its own."""
    for file in (home / "runs").glob("*/samples.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines()[:SHOWN]:
            sample = json.loads(line)
            print(f"\n> {sample['prompt'].strip()[-CHARS:]}", flush=True)
            for name in ("before", "after"):
                print(f"{name}: {sample[name].strip()[:CHARS]}", flush=True)
        print(f'\n$ finetuned predict 1 "{QUESTION}"', flush=True)
        subprocess.run([FINETUNED, "predict", "1", QUESTION], env=env)


if __name__ == "__main__":
    main()
