"""Those who would train on little data by other means: `small_peers.py setfit|fastai DATA BASE SEED` (see small.py).

Each with its own defaults, as its documentation begins: SetFit trains on all pairs once; fastai, which wants a number of
epochs, gets ten. Measured with setfit 1.2.0 (transformers 4.57.6, sentence-transformers 6.2.0) and fastai 2.8.12. The last
line is the macro F1 of the test split.
"""
import csv, json, random, sys
from pathlib import Path

import numpy, torch
from sklearn.metrics import f1_score

THREADS, EPOCHS, SIDE = 2, 10, 224


def setfit(data, base, seed):
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    split = {}
    for part in ("train", "test"):
        with open(data / f"{part}.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        split[part] = [it["text"] for it in rows], [it["label"] for it in rows]
    texts, labels = split["train"]
    model = SetFitModel.from_pretrained(str(base), labels=sorted(set(labels)))
    settings = TrainingArguments(output_dir=str(data / f"setfit-{seed}"), seed=seed, report_to="none", save_strategy="no")
    Trainer(model=model, args=settings, train_dataset=Dataset.from_dict({"text": texts, "label": labels})).train()
    return split["test"][1], list(model.predict(split["test"][0]))


def fastai(data, base, seed):
    from fastai.vision.all import ImageDataLoaders, Resize, set_seed, vision_learner
    set_seed(seed, reproducible=True)
    name = json.loads((base / "config.json").read_text())["architecture"]
    loaders = ImageDataLoaders.from_folder(data / "train", valid_pct=0.1, seed=seed, item_tfms=Resize(SIDE), num_workers=0)
    weights = {"file": str(base / "model.safetensors")}
    learner = vision_learner(loaders, name, pretrained_cfg_overlay=weights, path=data, model_dir=f"fastai-{seed}")
    with learner.no_bar():
        learner.fine_tune(EPOCHS)
    files = sorted((data / "test").glob("*/*.png"))
    scores, _ = learner.get_preds(dl=loaders.test_dl(files))
    return [it.parent.name for it in files], [str(loaders.vocab[int(it)]) for it in scores.argmax(1)]


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in ("setfit", "fastai"):
        sys.exit(__doc__)
    seed = int(sys.argv[4])
    random.seed(seed), numpy.random.seed(seed), torch.manual_seed(seed), torch.set_num_threads(THREADS)
    targets, predictions = {"setfit": setfit, "fastai": fastai}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), seed)
    print(f1_score(targets, predictions, average="macro"))
