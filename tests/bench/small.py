"""How good an empty recipe is on little data: macro F1 on 1,000 held-out examples (500 images), as a table in Markdown.

Beside each other, on the same draws: each build of finetuned (`--binary NAME=PATH`, several times; default: what
`make build` made) with nothing but base and seed in its recipe, and scikit-learn's logistic regression, its strength
chosen by cross-validation, on the pooled features of the frozen base. Examples are drawn as they come, and of each
draw all contestants see the same. One training runs at a time.
"""
import argparse, csv, json, os, random, statistics, subprocess, sys, tempfile
from pathlib import Path

import texts

ROOT = Path(__file__).resolve().parents[2]
ASSETS = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets"))
BASES = {"tweets": "minilm", "rare": "minilm", "clothes": "efficientnet-lite0"}
SIZES = (100, 200, 600, 2000)
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


def write(name, folder, rows, draw):
    folder.mkdir(parents=True)
    if name == "clothes":
        write_images(folder, rows, draw)
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
    return json.loads(done.read_text())["scores"]["metrics"]["macro_f1"]


def text_features(rows):
    import torch
    from transformers import AutoModel, AutoTokenizer
    base = ASSETS / "models/minilm"
    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModel.from_pretrained(base).eval()
    found = []
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


def probe(name, data):
    """Macro F1 of the logistic regression."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.model_selection import GridSearchCV
    torch.set_num_threads(THREADS)
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
    strengths = {"C": [0.01, 0.1, 1, 10, 100]}
    model = GridSearchCV(LogisticRegression(max_iter=2000, class_weight=weight), strengths, cv=5, scoring="f1_macro")
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
    args = parser.parse_args()
    if not set(args.what) <= set(BASES):
        parser.error(f"what to measure: {', '.join(BASES)}")
    binaries = dict(it.split("=", 1) for it in args.binary or [f"finetuned={ROOT / 'target/release/finetuned'}"])
    print("| set | examples | draw | " + " | ".join(binaries) + " | probe |\n|" + " --- |" * (len(binaries) + 4), flush=True)
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        for name in args.what:
            for rows in args.sizes:
                for draw in range(args.draws):
                    data = Path(tmp) / f"{name}-{rows}-{draw}"
                    write(name, data, rows, draw)
                    cells = []
                    for label, binary in binaries.items():
                        found = [finetuned(binary, name, data, seed, args.recipe, Path(tmp) / f"{data.name}-{label}-{seed}") for seed in range(args.seeds)]
                        cells.append(f"{statistics.mean(found):.3f} ({', '.join(f'{it:.3f}' for it in found)})")
                    print(f"| {name} | {rows} | {draw} | " + " | ".join(cells) + f" | {probe(name, data):.3f} |", flush=True)


if __name__ == "__main__":
    main()
