"""A model whose head is a plugin's: the folder's backbone opens in its own library, and the head's weights lie beside it, so
that the formula of the head gives in Python what `finetuned predict` says.
"""
import csv, json, shutil

import numpy, timm, torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

import tiny_models, tiny_pictures
from runner import ROOT, finetuned

RECIPE = """model.base = {base}
model.head = "arcface"
train.epochs = 1
train.batch = 8
data.test = 0.25
plugins.load = ["arcface"]
"""
# ArcFace's own default (plugins/arcface).
SCALE = 64.0
TEXTS = [(f"the {thing} {n} was {word}", label) for label, words in (("bad", ["awful", "poor"]), ("good", ["great", "fine"])) for word in words
         for thing in ("film", "book") for n in range(12)]


def run(home, base, data):
    (home / "home/plugins").mkdir(parents=True)
    shutil.copy(ROOT / "plugins/target/release/libarcface.so", home / "home/plugins/arcface.so")
    (home / "recipe.toml").write_text(RECIPE.format(base=json.dumps(str(base))))
    finetuned(home, "run", data, "--recipe", home / "recipe.toml", "--out", home / "run")


def log_probabilities(features, folder):
    """Of cosines between features (batch, width) and the classes' weights."""
    weight = load_file(folder / "model.safetensors")["plugin.arcface.weight"]
    return (SCALE * torch.nn.functional.linear(torch.nn.functional.normalize(features), torch.nn.functional.normalize(weight))).log_softmax(-1).numpy()


def said(home, inputs, names):
    answers = [json.loads(line) for line in finetuned(home, "predict", home / "run", "--json", "--", *inputs).splitlines()]
    return numpy.log([[it["probabilities"][name] for name in names] for it in answers])


def test_a_backbone_of_texts(tmp_path):
    tiny_models.distilbert(tmp_path / "base", [text for text, _ in TEXTS])
    with open(tmp_path / "texts.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    run(tmp_path, tmp_path / "base", tmp_path / "texts.csv")
    folder, texts = tmp_path / "run/model", ["the film was great", "a poor book", "nothing at all"]
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and set(report["unexpected_keys"]) == {"plugin.arcface.weight"}
    assert "AutoModel.from_pretrained" in (folder / "README.md").read_text()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        features = torch.cat([model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[:, 0] for text in texts])
    assert numpy.abs(log_probabilities(features, folder) - said(tmp_path, texts, ["bad", "good"])).max() < 1e-4


def test_a_backbone_of_pictures(tmp_path):
    tiny_pictures.timm_resnet(tmp_path / "base")
    colours, paths = ["blue", "green", "red"], [tmp_path / f"{n}.png" for n in range(3)]
    for n in range(48):
        folder = tmp_path / "data" / colours[2 - n % 3]
        folder.mkdir(parents=True, exist_ok=True)
        tiny_pictures.picture(n, (32, 32)).save(folder / f"{n}.png")
    run(tmp_path, tmp_path / "base", tmp_path / "data")
    for n, path in enumerate(paths, 1000):
        tiny_pictures.picture(n, (32, 32)).save(path)
    folder = tmp_path / "run/model"
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    assert "num_classes=0" in (folder / "README.md").read_text()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    with torch.no_grad():
        features = model(torch.stack([transform(Image.open(path)) for path in paths]))
    assert numpy.abs(log_probabilities(features, folder) - said(tmp_path, paths, colours)).max() < 1e-4
