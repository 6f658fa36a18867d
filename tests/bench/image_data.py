"""The images that `make bench-images` trains on: those of fashion-mnist-small, as photographs' files would be:
JPEG, 320 x 320. Each stands in one split only.
"""
from pathlib import Path

from PIL import Image

SIDE = 320
QUALITY = 90
# The part of the training images that ours evaluates after each epoch, besides.
VALIDATION = 0.1


def write(assets, folder, rows, test_rows):
    """The same each time: seeds vary the training, not the data."""
    for source, splits in (("train", {"validation": int(rows * VALIDATION), "train": rows}), ("test", {"test": test_rows})):
        classes = sorted((assets / "data/fashion-mnist-small" / source).iterdir())
        files = {it.name: sorted(it.glob("*.png")) for it in classes}
        for split, count in splits.items():
            each = count // len(classes)
            for name in files:
                drawn, files[name] = files[name][:each], files[name][each:]
                if len(drawn) < each:
                    raise SystemExit(f"fashion-mnist-small has too few images for {rows} + {int(rows * VALIDATION)} and {test_rows}")
                (folder / split / name).mkdir(parents=True)
                for path in drawn:
                    image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                    image.save(Path(folder / split / name / path.stem).with_suffix(".jpg"), quality=QUALITY)
