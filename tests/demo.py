#!/usr/bin/env python3
"""From nothing to a proven model, as a user would see it: `demo.py ASSETS` (after `make build assets`).

Starts the real daemon on a temporary home, drops a sample of real tweets into its inbox, follows the job and
prints what came of it. The home is left, since the model lies in it.
"""
import json, os, signal, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FINETUNED = ROOT / "target/release/finetuned"
ROWS = 3000
RECIPE = """# What `make demo` trains: everything else is decided by finetuned and stands in plan.json.
model.base = {base}
data.text = "text"
data.label = "sentiment"
data.test = 0.2
train.epochs = 3
"""


def main():
    assets = Path(sys.argv[1]).resolve()
    home = Path(tempfile.mkdtemp(prefix="finetuned-demo-"))
    inbox = home / "inbox"
    inbox.mkdir()
    (home / "demo.toml").write_text(RECIPE.format(base=json.dumps(str(assets / "models/minilm"))))
    (home / "config.toml").write_text(f'[[inbox]]\npath = {json.dumps(str(inbox))}\nrecipe = {json.dumps(str(home / "demo.toml"))}\n')
    env = dict(os.environ, FINETUNED_HOME=str(home))
    print(f"home: {home}\n$ finetuned serve &", flush=True)
    with open(home / "daemon.log", "w") as log:
        daemon = subprocess.Popen([FINETUNED, "serve"], env=env, stdout=log, stderr=log)
    try:
        code = drop_and_follow(assets, home, inbox, env, daemon)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=60)
    sys.exit(code)


def drop_and_follow(assets, home, inbox, env, daemon):
    start = time.monotonic()
    print(f"$ cp tweets.csv {inbox}   # {ROWS:,} of the tweets", flush=True)
    partial = inbox / "tweets.csv.part"
    subprocess.run([sys.executable, ROOT / "tests/assets/sample.py", assets / "data/tweets", str(ROWS), partial], check=True)
    partial.rename(inbox / "tweets.csv")
    while not list((home / "runs").glob("*/spec.json")):
        if daemon.poll() is not None:
            sys.exit(f"the daemon ended:\n{(home / 'daemon.log').read_text()}")
        time.sleep(0.1)
    print("$ finetuned logs -f 1", flush=True)
    subprocess.run([FINETUNED, "logs", "-f", "1"], env=env)
    print("$ finetuned show 1", flush=True)
    shown = subprocess.run([FINETUNED, "show", "1"], env=env)
    print(f"\nfrom the drop to here: {time.monotonic() - start:.0f} s", flush=True)
    return shown.returncode


if __name__ == "__main__":
    main()
