"""The texts that `make bench` trains on, cut from the fetched assets: train.csv, validation.csv, test.csv.

`news` are articles' headlines and first two paragraphs, some 150 tokens each and very unlike in length, as
newswire is; `tweets` are some 25 tokens. Each text stands in one file only.
"""
import csv, random

PARAGRAPHS = 3
# The part of the training rows that ours evaluates after each epoch.
VALIDATION = 0.1


def news(assets):
    for path in sorted((assets / "data/news").glob("*/*.txt")):
        data = path.read_bytes()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        yield "\n\n".join(text.split("\n\n")[:PARAGRAPHS]).strip(), path.parent.name


def tweets(assets):
    [path] = (assets / "data/tweets").glob("*.csv")
    with open(path, encoding="latin-1", newline="") as file:
        for row in csv.DictReader(file):
            yield row["text"].strip(), row["sentiment"]


SETS = {"news": news, "tweets": tweets}


def write(name, assets, folder, rows, test_rows):
    """Draws the same rows each time: seeds vary the training, not the data."""
    texts = {text: label for text, label in SETS[name](assets) if text}
    validation_rows = max(1, int(rows * VALIDATION))
    wanted = rows + validation_rows + test_rows
    if len(texts) < wanted:
        raise SystemExit(f"{name} has {len(texts)} texts, fewer than {rows} + {validation_rows} + {test_rows}")
    drawn = random.Random(0).sample(sorted(texts.items()), wanted)
    folder.mkdir(parents=True)
    for part, count in (("train", rows), ("validation", validation_rows), ("test", test_rows)):
        part_rows, drawn = drawn[:count], drawn[count:]
        with open(folder / f"{part}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part_rows])
