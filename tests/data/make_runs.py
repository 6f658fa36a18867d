"""Makes runs-0.1.0: two small runs as the binaries of finetuned 0.1.0 left them, which every later version must read.

Made with finetuned 0.1.0 (libtorch 2.13), torch 2.13.0, timm 1.0.31 and Pillow. Only what a later version reads is stored: the JSON
files, predictions.csv with the images that it names, and the model folder. Run it beside this file, with the folder of the two binaries:

    LD_LIBRARY_PATH=LIBTORCH/lib python make_runs.py FOLDER
"""
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs-0.1.0"
STORED = ["plan.json", "data.json", "trained.json", "done.json", "predictions.csv", "model"]
KINDS = {"positive": ["good", "great", "lovely", "fine"], "negative": ["bad", "awful", "poor", "sad"]}
ARGS = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}


def texts(drop: Path):
    rows = [(f"the movie {n} was {words[n % 4]}", label) for n in range(60) for label, words in KINDS.items()]
    drop.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))


def images(drop: Path):
    for hue, colour in enumerate(["red", "green", "blue"]):
        (drop / colour).mkdir(parents=True)
        for n in range(20):
            image = Image.new("RGB", (32, 32), (30 + n, 30 + n, 30 + n))
            shade = [0, 0, 0]
            shade[hue] = 160 + 4 * n
            image.paste(tuple(shade), (n % 16, n % 11, n % 16 + 14, n % 11 + 14))
            image.save(drop / colour / f"{n}.png")


def narrow_resnet(folder: Path):
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=3, **ARGS)
    save_file(model.state_dict(), folder / "model.safetensors")
    preprocessing = {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.25] * 3, "num_classes": 3}
    config = {"architecture": "resnet18", "num_classes": 3, "num_features": 8, "model_args": ARGS, "pretrained_cfg": preprocessing}
    (folder / "config.json").write_text(json.dumps(config))


def run(binaries: Path, name: str, home: Path, drop: Path, base: Path, train: str):
    recipe, out = home / "recipe.toml", home / "run"
    recipe.write_text(f'model.base = "{base}"\ndata.test = 0.2\n[train]\n{train}\npatience = 0\n')
    command = [binaries / "finetuned", "--home", home / "home", "run", drop, "--recipe", recipe, "--out", out]
    subprocess.run(command, check=True)
    target = RUNS / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for stored in STORED:
        source = out / stored
        if source.is_dir():
            shutil.copytree(source, target / stored)
        elif source.suffix == ".json":
            # Where the run was made concerns nobody.
            (target / stored).write_text(source.read_text().replace(str(home), "/home/ada").replace(str(HERE), "/home/ada"))
        else:
            shutil.copy(source, target / stored)
    # The card is for people.
    (target / "model" / "README.md").unlink(missing_ok=True)
    # What the predictions are about, where it does not stand in them.
    for row in csv.DictReader((out / "predictions.csv").open()):
        if "image" in row:
            (target / "asked" / row["image"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(drop / row["image"], target / "asked" / row["image"])


def main():
    binaries = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        texts(home / "tweets.csv")
        run(binaries, "texts", home, home / "tweets.csv", HERE / "tiny-bert", "epochs = 20\nlr = 5e-3")
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        images(home / "shapes")
        (home / "narrow-resnet").mkdir()
        narrow_resnet(home / "narrow-resnet")
        run(binaries, "images", home, home / "shapes", home / "narrow-resnet", "epochs = 20\nbatch = 16\nlr = 1e-2")


main()
