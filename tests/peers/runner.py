"""The real binary, for every test of the peers."""
import os, subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FINETUNED = Path(os.environ.get("FINETUNED", ROOT / "target/release/finetuned"))


def finetuned(home, *arguments):
    """What it prints; it must succeed."""
    assert FINETUNED.exists(), f"{FINETUNED} is missing: `make build` makes it"
    env = dict(os.environ, FINETUNED_HOME=str(home / "home"))
    ended = subprocess.run([FINETUNED, *map(str, arguments)], env=env, capture_output=True, text=True)
    assert ended.returncode == 0, f"finetuned {arguments[0]}: status {ended.returncode}\n{ended.stderr}\n{ended.stdout[-2000:]}"
    return ended.stdout
