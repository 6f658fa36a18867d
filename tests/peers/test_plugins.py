"""A model whose head is a plugin's: the folder's backbone opens in its own library, and the head's weights lie beside it, so
that the formula of the head gives in Python what `finetuned predict` says. Where that formula is a linear map and the family
has such a head, the whole folder opens.
"""
import csv, json, shutil

import numpy, timm, torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

import tiny_models, tiny_images
from runner import ROOT, finetuned

RECIPE = """model.base = {base}
model.head = "{head}"
train.epochs = 1
train.batch = 8
data.test = 0.25
plugins.load = ["{plugin}"]
"""
# A head that in use is a linear map.
LINEAR = "multi_sample_dropout"
# ArcFace's own default (plugins/arcface).
SCALE = 64.0
TEXTS = [(f"the {thing} {n} was {word}", label) for label, words in (("bad", ["awful", "poor"]), ("good", ["great", "fine"])) for word in words
         for thing in ("film", "book") for n in range(12)]


def run(home, base, data, head):
    (home / "home/plugins").mkdir(parents=True)
    plugin = head.replace("_", "-")
    shutil.copy(ROOT / f"plugins/target/release/lib{head}.so", home / f"home/plugins/{plugin}.so")
    (home / "recipe.toml").write_text(RECIPE.format(base=json.dumps(str(base)), head=head, plugin=plugin))
    finetuned(home, "run", data, "--recipe", home / "recipe.toml", "--out", home / "run")


def log_probabilities(features, folder):
    """Of cosines between features (batch, width) and the classes' weights."""
    weight = load_file(folder / "model.safetensors")["plugin.arcface.weight"]
    return (SCALE * torch.nn.functional.linear(torch.nn.functional.normalize(features), torch.nn.functional.normalize(weight))).log_softmax(-1).numpy()


def said(home, inputs, names):
    answers = [json.loads(line) for line in finetuned(home, "predict", home / "run", "--json", "--", *inputs).splitlines()]
    return numpy.log([[it["probabilities"][name] for name in names] for it in answers])


def on_texts(home, head):
    """The finished model, and some texts."""
    tiny_models.distilbert(home / "base", [text for text, _ in TEXTS])
    with open(home / "texts.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    run(home, home / "base", home / "texts.csv", head)
    return home / "run/model", ["the film was great", "a poor book", "nothing at all"]


def on_images(home, head):
    """The finished model, its classes, paths of some images, and those as numbers."""
    tiny_images.timm_resnet(home / "base")
    colours, paths = ["blue", "green", "red"], [home / f"{n}.png" for n in range(3)]
    for n in range(48):
        folder = home / "data" / colours[2 - n % 3]
        folder.mkdir(parents=True, exist_ok=True)
        tiny_images.image(n, (32, 32)).save(folder / f"{n}.png")
    run(home, home / "base", home / "data", head)
    for n, path in enumerate(paths, 1000):
        tiny_images.image(n, (32, 32)).save(path)
    folder = home / "run/model"
    config = timm.data.resolve_data_config(json.loads((folder / "config.json").read_text())["pretrained_cfg"])
    transform = timm.data.create_transform(**config, is_training=False)
    return folder, colours, paths, torch.stack([transform(Image.open(path)) for path in paths])


def test_a_backbone_of_texts(tmp_path):
    folder, texts = on_texts(tmp_path, "arcface")
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and set(report["unexpected_keys"]) == {"plugin.arcface.weight"}
    assert "AutoModel.from_pretrained" in (folder / "README.md").read_text()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        features = torch.cat([model.eval()(**tokenizer(text, return_tensors="pt")).last_hidden_state[:, 0] for text in texts])
    assert numpy.abs(log_probabilities(features, folder) - said(tmp_path, texts, ["bad", "good"])).max() < 1e-4


def test_a_backbone_of_images(tmp_path):
    folder, colours, paths, pixels = on_images(tmp_path, "arcface")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    assert "num_classes=0" in (folder / "README.md").read_text()
    with torch.no_grad():
        features = model(pixels)
    assert numpy.abs(log_probabilities(features, folder) - said(tmp_path, paths, colours)).max() < 1e-4


def test_a_linear_head_of_texts_is_the_familys_own(tmp_path):
    folder, texts = on_texts(tmp_path, LINEAR)
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = torch.cat([model.eval()(**tokenizer(text, return_tensors="pt")).logits for text in texts])
    assert numpy.abs(logits.log_softmax(-1).numpy() - said(tmp_path, texts, ["bad", "good"])).max() < 1e-4


def test_a_linear_head_of_images_is_the_familys_own(tmp_path):
    folder, colours, paths, pixels = on_images(tmp_path, LINEAR)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        logits = model(pixels)
    assert numpy.abs(logits.log_softmax(-1).numpy() - said(tmp_path, paths, colours)).max() < 1e-4
