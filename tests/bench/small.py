"""How good an empty recipe is on little data: macro F1 on 1,000 held-out examples (500 images; entity F1 on 500
sentences), as a table in Markdown.

Beside each other, on the same draws: each build of finetuned (`--binary NAME=PATH`, several times; default: what
`make build` made) with nothing but base and seed in its recipe; scikit-learn's logistic regression, its strength
chosen by cross-validation, on the features of the frozen base (pooled; of each word its first token's); and, where
`--peers PYTHON` names an interpreter that has them, SetFit or fastai (small_peers.py). Examples are drawn as they come,
and of each draw all contestants see the same. One training runs at a time.
"""
import argparse, csv, json, os, random, statistics, subprocess, sys, tempfile
from pathlib import Path

import ner, texts

ROOT = Path(__file__).resolve().parents[2]
ASSETS = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets"))
BASES = {"tweets": "minilm", "rare": "minilm", "clothes": "efficientnet-lite0", "entities": "minilm"}
PEERS = {"tweets": "setfit", "clothes": "fastai"}
SIZES = (100, 200, 600, 2000)
# All pairs of more texts take SetFit hours.
SETFIT_MAX = 200
# The rare class's part of the set `rare`, and tokens that finetuned takes of a text at most.
RARE, MAX_TOKENS, TEST, THREADS = 0.05, 256, 1000, 2


def tweets(rng, wanted):
    return rng.sample(sorted({text: label for text, label in texts.tweets(ASSETS) if text}.items()), wanted)


def rare(rng, wanted):
    """Two of the tweets' classes at 19:1, in training as in test."""
    of = {"neutral": [], "negative": []}
    for text, label in tweets(rng, len({text for text, _ in texts.tweets(ASSETS) if text})):
        if label in of:
            of[label].append((text, label))
    few = round(wanted * RARE)
    drawn = of["neutral"][:wanted - few] + of["negative"][:few]
    rng.shuffle(drawn)
    return drawn


def write_texts(folder, rows, draw, source):
    test = source(random.Random(f"{source.__name__} test"), TEST)
    in_test = {text for text, _ in test}
    drawn = [it for it in source(random.Random(f"{source.__name__} {draw}"), 2 * (rows + TEST)) if it[0] not in in_test]
    if source is rare:
        few = [it for it in drawn if it[1] == "negative"][:round(rows * RARE)]
        drawn = [it for it in drawn if it[1] != "negative"][:rows - len(few)] + few
    for name, part in (("train", drawn[:rows]), ("test", test)):
        with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])


def write_images(folder, rows, draw):
    for split, count, seed in (("train", rows, draw), ("test", TEST, "test")):
        files = sorted((ASSETS / "data/fashion-mnist-small" / split).glob("*/*.png"))
        for path in random.Random(f"clothes {seed}").sample(files, min(count, len(files))):
            link = folder / split / path.parent.name / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.write_bytes(path.read_bytes())


def write_entities(folder, rows, draw):
    sentences = ner.sentences()
    parts = {"test": sentences[:ner.TEST], "train": random.Random(f"entities {draw}").sample(sentences[ner.TEST:], rows)}
    for name, part in parts.items():
        (folder / f"{name}.conll").write_text("\n\n".join(part) + "\n", encoding="utf-8")


def write(name, folder, rows, draw):
    folder.mkdir(parents=True)
    if name == "clothes":
        write_images(folder, rows, draw)
    elif name == "entities":
        write_entities(folder, rows, draw)
    else:
        write_texts(folder, rows, draw, {"tweets": tweets, "rare": rare}[name])


def finetuned(binary, name, data, seed, more, folder):
    recipe, home = folder / "recipe.toml", folder / "home"
    home.mkdir(parents=True)
    recipe.write_text(f"model.base = {json.dumps(str(ASSETS / 'models' / BASES[name]))}\ntrain.seed = {seed}\n{more}\n")
    (home / "config.toml").write_text(f"threads = {THREADS}\n")
    env = dict(os.environ, FINETUNED_HOME=str(home), HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(THREADS))
    command = [binary, "run", data, "--recipe", recipe, "--out", folder / "run", "--json"]
    ended = subprocess.run([str(it) for it in command], env=env, capture_output=True, text=True)
    done = folder / "run/done.json"
    if not done.exists():
        sys.exit(f"{' '.join(map(str, command))}\nended with {ended.returncode}:\n{ended.stdout[-1000:]}{ended.stderr[-2000:]}")
    metrics = json.loads(done.read_text())["scores"]["metrics"]
    return metrics["entity_f1" if name == "entities" else "macro_f1"]


def peer(python, name, data, seed):
    """Nothing where SetFit would be at it for hours."""
    if PEERS[name] == "setfit" and SETFIT_MAX < sum(1 for _ in open(data / "train.csv")) - 1:
        return None
    command = [python, Path(__file__).with_name("small_peers.py"), PEERS[name], data, ASSETS / "models" / BASES[name], seed]
    ended = subprocess.run([str(it) for it in command], env=dict(os.environ, HF_HUB_OFFLINE="1"), capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return float(ended.stdout.split()[-1])


def encoder():
    """The frozen base of texts, and its tokenizer."""
    from transformers import AutoModel, AutoTokenizer
    base = ASSETS / "models/minilm"
    return AutoTokenizer.from_pretrained(base), AutoModel.from_pretrained(base).eval()


def text_features(rows):
    import torch
    (tokenizer, model), found = encoder(), []
    with torch.inference_mode():
        for at in range(0, len(rows), 32):
            batch = tokenizer(rows[at:at + 32], truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
            mask = batch["attention_mask"].unsqueeze(-1)
            found.append((model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1))
    return torch.cat(found).numpy()


def image_features(paths):
    import timm, torch
    from PIL import Image
    from safetensors.torch import load_file
    base = ASSETS / "models/efficientnet-lite0"
    config = json.loads((base / "config.json").read_text())
    model = timm.create_model(config["architecture"], pretrained=False).eval()
    model.load_state_dict(load_file(base / "model.safetensors"))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(config.get("pretrained_cfg", config)))
    found = []
    with torch.inference_mode():
        for at in range(0, len(paths), 32):
            batch = torch.stack([transform(Image.open(it).convert("RGB")) for it in paths[at:at + 32]])
            found.append(model.forward_head(model.forward_features(batch), pre_logits=True))
    return torch.cat(found).numpy()


def word_features(sentences):
    """Of each word its first token's, one row after another; no sentence is longer than the base reads."""
    import torch
    (tokenizer, model), found = encoder(), []
    with torch.inference_mode():
        for words in sentences:
            encoded = tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            places = encoded.word_ids()
            found.append(model(**encoded).last_hidden_state[0, [places.index(it) for it in range(len(words))]])
    return torch.cat(found).numpy()


def entity_probe(data):
    """Entity F1 of the logistic regression of words."""
    import seqeval.metrics
    from ner_trainer import read
    train, test = read(data / "train.conll"), read(data / "test.conll")
    model = regression({"C": [0.1, 1, 10, 100]}, 3, "f1_micro", None)
    model.fit(word_features([it[0] for it in train]), [tag for _, tags in train for tag in tags])
    flat, predictions = iter(model.predict(word_features([it[0] for it in test]))), []
    for words, _ in test:
        predictions.append([str(next(flat)) for _ in words])
    return seqeval.metrics.f1_score([list(tags) for _, tags in test], predictions)


def regression(strengths, folds, scoring, weight):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    return GridSearchCV(LogisticRegression(max_iter=2000, class_weight=weight), strengths, cv=folds, scoring=scoring)


def probe(name, data):
    """Macro F1 of the logistic regression."""
    import torch
    from sklearn.metrics import f1_score
    torch.set_num_threads(THREADS)
    if name == "entities":
        return entity_probe(data)
    split = {}
    for part in ("train", "test"):
        if name == "clothes":
            paths = sorted((data / part).glob("*/*.png"))
            split[part] = image_features(paths), [it.parent.name for it in paths]
        else:
            with open(data / f"{part}.csv", encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            split[part] = text_features([it["text"] for it in rows]), [it["label"] for it in rows]
    weight = "balanced" if name == "rare" else None
    model = regression({"C": [0.01, 0.1, 1, 10, 100]}, 5, "f1_macro", weight)
    model.fit(*split["train"])
    return f1_score(split["test"][1], model.predict(split["test"][0]), average="macro")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["tweets", "clothes"], help=f"of {', '.join(BASES)}; default: tweets clothes")
    parser.add_argument("--sizes", type=lambda it: [int(n) for n in it.split(",")], default=SIZES, help="training examples: 100,200,600,2000")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=1, help="of the training examples; each is trained on with every seed")
    parser.add_argument("--binary", action="append", metavar="NAME=PATH", help="a build of finetuned to measure")
    parser.add_argument("--recipe", default="", help="more lines of the recipe, to try a default: 'train.batch = 8'")
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter with setfit and fastai, to measure these too")
    args = parser.parse_args()
    if not set(args.what) <= set(BASES):
        parser.error(f"what to measure: {', '.join(BASES)}")
    binaries = dict(it.split("=", 1) for it in args.binary or [f"finetuned={ROOT / 'target/release/finetuned'}"])
    heads = [*binaries, "probe", *(["SetFit, fastai"] if args.peers else [])]
    print("| set | examples | draw | " + " | ".join(heads) + " |\n|" + " --- |" * (len(heads) + 3), flush=True)
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        for name in args.what:
            for rows in args.sizes:
                for draw in range(args.draws):
                    cells = " | ".join(row(args, binaries, name, rows, draw, Path(tmp)))
                    print(f"| {name} | {rows} | {draw} | {cells} |", flush=True)


def row(args, binaries, name, rows, draw, tmp):
    """A cell for each contestant: the mean of the seeds, and each."""
    data = tmp / f"{name}-{rows}-{draw}"
    write(name, data, rows, draw)
    seeds = range(args.seeds)
    for label, binary in binaries.items():
        yield cell([finetuned(binary, name, data, seed, args.recipe, tmp / f"{data.name}-{label}-{seed}") for seed in seeds])
    yield f"{probe(name, data):.3f}"
    if args.peers:
        yield cell([peer(args.peers, name, data, seed) for seed in seeds] if name in PEERS else [None])


def cell(scores):
    if None in scores:
        return "-"
    return f"{statistics.mean(scores):.3f} ({', '.join(f'{it:.3f}' for it in scores)})"


if __name__ == "__main__":
    main()
