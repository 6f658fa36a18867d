"""Makes images/frozen_statistics.json: the gradients of some convolutional models whose batch norms go by their
running statistics, as `model.eval()` has it, in double precision; and how far torch's own single precision is from
them.

    python make_frozen_statistics.py

Made with torch 2.13.0 (CPU), timm 1.0.31.
"""

import json

import timm
import torch

from make_images import CLASSES, HERE, apart, batch, digest, weight

MODELS = {
    "resnet_basic": lambda: timm.create_model("resnet18", num_classes=CLASSES, layers=[1, 1, 2, 1], channels=[8, 16, 24, 32]),
    "tf_efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES),
    "tf_mobilenetv3_small": lambda: timm.create_model("tf_mobilenetv3_small_100", num_classes=CLASSES),
}


def gradients(model, kind):
    pixels, labels = batch(kind)
    model.to(kind).eval()
    model.load_state_dict({name: weight(name, tuple(it.shape)) for name, it in model.state_dict().items()})
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(pixels), labels).backward()
    return {name: it.grad.clone() for name, it in model.named_parameters()}


def main():
    torch.set_num_threads(2)
    found = {}
    for name, make in MODELS.items():
        rough, exact = gradients(make(), torch.float32), gradients(make(), torch.float64)
        rounding = max(apart(rough[it], exact[it]) for it in exact)
        found[name] = {"rounding": rounding, "gradients": {it: digest(exact[it]) for it in exact}}
        print(name, rounding)
    models = []
    for name, it in found.items():
        lines = ",\n".join(f"    {json.dumps(tensor)}: {json.dumps(numbers)}" for tensor, numbers in it["gradients"].items())
        models.append(f'  "{name}": {{"rounding": {it["rounding"]}, "gradients": {{\n{lines}\n  }}}}')
    (HERE / "frozen_statistics.json").write_text("{\n" + ",\n".join(models) + "\n}\n")


if __name__ == "__main__":
    main()
