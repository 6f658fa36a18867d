"""Models of images that finetuned leaves, opened by timm and transformers: each kind of folder that one of them
saves is trained for an epoch, with inputs of another size than its own, and answers as it does in finetuned.
"""
import csv, json
from types import SimpleNamespace

import numpy, pytest, timm, torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

import tiny_images
from runner import finetuned

COLOURS = ["red", "green", "blue"]
EACH = 16
SIDE = 48
# What an image of this size is resized to is itself, so that only the model is compared: base -> side.
EXACT_SIDES = {"timm_resnet": 48, "timm_vit": 48, "timm_convnext": 48, "hf_vit": 48, "hf_deit": 60, "hf_dinov2": 60, "hf_convnext": 60}
OF_TIMM = [name for name in EXACT_SIDES if name.startswith("timm")]
# And of others: resized by another library, with weights of fewer bits.
OTHER_SIZES = [(97, 64), (48, 131), (50, 50)]
EXACT, RESIZED = 1e-4, 0.03


def base(name, folder):
    getattr(tiny_images, name)(folder)
    return folder


def run(home, base, data, extra=""):
    recipe = f"model.base = {json.dumps(str(base))}\nmodel.image_size = {SIDE}\ndata.test = 0.25\ntrain.epochs = 1\ntrain.batch = 8\n{extra}"
    (home / "recipe.toml").write_text(recipe)
    out = finetuned(home, "run", data, "--recipe", home / "recipe.toml", "--out", home / "run", "--json")
    return json.loads(out.splitlines()[-1])


def folders(root, side):
    for n in range(3 * EACH):
        colour = root / COLOURS[n % 3]
        colour.mkdir(parents=True, exist_ok=True)
        tiny_images.image(n, (side, side)).save(colour / f"{n}.png")
    return root


def table(root, side, columns, row):
    root.mkdir()
    with open(root / "metadata.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", *columns])
        for n in range(3 * EACH):
            tiny_images.image(n, (side, side)).save(root / f"{n}.png")
            rows.writerow([f"{n}.png", *row(n)])
    return root


def opened(home, name):
    """logits of images, and the names of the outputs, as the folder's own library has them."""
    folder = home / "run/model"
    if name.startswith("timm"):
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
        names = model.pretrained_cfg["label_names"]
        prepared = lambda image: transform(image)[None]
        forward = model
    else:
        model, report = AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
        assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
        # Its other backend resizes with other kernels.
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        names = [model.config.id2label[i] for i in range(model.config.num_labels)]
        prepared = lambda image: processor(image, return_tensors="pt")["pixel_values"]
        forward = lambda pixels: model.eval()(pixels).logits
    return SimpleNamespace(model=model, names=list(names), prepared=prepared, forward=forward)


def logits(peer, paths):
    with torch.no_grad():
        pixels = [peer.prepared(Image.open(path).convert("RGB")) for path in paths]
        assert {tuple(it.shape) for it in pixels} == {(1, 3, SIDE, SIDE)}
        return torch.cat([peer.forward(it) for it in pixels]).double()


def answers(home, paths):
    found = [json.loads(line) for line in finetuned(home, "predict", home / "run", "--json", *paths).splitlines()]
    return {it["image"]: it for it in found}


def inputs(home, side):
    """New images: of the size that is not resized, and of others."""
    paths = []
    for n, size in enumerate([(side, side)] * 6 + OTHER_SIZES, 1000):
        paths.append(home / f"{n}.png")
        tiny_images.image(n, size).save(paths[-1])
    return paths[:6], paths[6:]


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    home, side = tmp_path_factory.mktemp(request.param), EXACT_SIDES[request.param]
    done = run(home, base(request.param, home / "base"), folders(home / "data", side))
    return SimpleNamespace(name=request.param, home=home, side=side, done=done)


@pytest.mark.parametrize("trained", EXACT_SIDES, indirect=True)
def test_the_folder_opens_and_answers_the_same(trained):
    peer = opened(trained.home, trained.name)
    assert peer.names == sorted(COLOURS)
    for paths, tolerance in zip(inputs(trained.home, trained.side), (EXACT, RESIZED)):
        found = answers(trained.home, paths)
        wanted = logits(peer, paths).log_softmax(-1).numpy()
        said = numpy.log([[found[str(path)]["probabilities"][name] for name in peer.names] for path in paths])
        assert numpy.abs(said - wanted).max() < tolerance


@pytest.mark.parametrize("trained", OF_TIMM, indirect=True)
def test_timm_takes_the_weights_as_a_checkpoint(trained):
    config = json.loads((trained.home / "run/model/config.json").read_text())
    model = timm.create_model(config["architecture"], checkpoint_path=str(trained.home / "run/model/model.safetensors"), num_classes=3, **config["model_args"])
    peer = opened(trained.home, trained.name)
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(model.eval()(pixels), peer.model(pixels))


@pytest.mark.parametrize("trained", [it for it in EXACT_SIDES if it not in OF_TIMM], indirect=True)
def test_a_pipeline_needs_nothing_but_the_folder(trained):
    [path, *_], _ = inputs(trained.home, trained.side)
    best, *_ = pipeline("image-classification", model=str(trained.home / "run/model"))(str(path))
    assert best["label"] == answers(trained.home, [path])[str(path)]["label"]


@pytest.mark.parametrize("name", ["timm_resnet", "hf_vit"])
def test_several_labels(name, tmp_path):
    data = table(tmp_path / "data", EXACT_SIDES[name], ["label"], lambda n: [["red|warm", "green|warm", "blue"][n % 3]])
    run(tmp_path, base(name, tmp_path / "base"), data)
    peer, (paths, _) = opened(tmp_path, name), inputs(tmp_path, EXACT_SIDES[name])
    assert peer.names == ["blue", "green", "red", "warm"]
    if name.startswith("hf"):
        assert peer.model.config.problem_type == "multi_label_classification"
    found = answers(tmp_path, paths)
    said = torch.tensor([[found[str(path)]["probabilities"][name] for name in peer.names] for path in paths]).double()
    assert (said.logit() - logits(peer, paths)).abs().max() < EXACT


@pytest.mark.parametrize("name", ["timm_resnet", "hf_vit"])
def test_numbers_in_their_own_units(name, tmp_path):
    data = table(tmp_path / "data", EXACT_SIDES[name], ["price", "share"], lambda n: [1000 + 500 * (n % 3), (n % 7) / 10])
    run(tmp_path, base(name, tmp_path / "base"), data, "task = 'image-regression'\ndata.labels = ['price', 'share']\n")
    peer, (paths, _) = opened(tmp_path, name), inputs(tmp_path, EXACT_SIDES[name])
    assert peer.names == ["price", "share"]
    if name.startswith("hf"):
        assert peer.model.config.problem_type == "regression"
    found = answers(tmp_path, paths)
    said = torch.tensor([[found[str(path)]["numbers"][name] for name in peer.names] for path in paths]).double()
    assert said[:, 0].min() > 500, "a price, not what the model learns in"
    assert ((said - logits(peer, paths)).abs() / torch.tensor([1000.0, 1.0])).max() < EXACT
