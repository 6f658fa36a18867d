"""Makes layer_decay.json beside it: by what factor timm scales the learning rate of each tensor, where each layer
learns half as fast as the one above it.

    python make_layer_decay.py

Made with torch 2.13.0 (CPU), timm 1.0.31.
"""

import json
import pathlib

import timm
from timm.optim import param_groups_layer_decay

HERE = pathlib.Path(__file__).parent
FOLDERS = (
    [f"vit/{name}" for name in ("timm_vit", "timm_vit_avg", "timm_deit", "timm_deit3", "timm_dinov2", "timm_dinov2_giant")]
    + [f"images/{name}" for name in ("resnet_basic", "resnet_bottleneck", "efficientnet_lite0", "mobilenetv3_large", "convnext", "convnext_pointwise")]
)


def scales(folder):
    config = json.loads((HERE / folder / "config.json").read_text())
    model = timm.create_model(config["architecture"], **({"num_classes": 3} | config.get("model_args", {})))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    return {names[id(p)]: group["lr_scale"] for group in groups for p in group["params"]}


def main():
    lines = ",\n".join(f"  {json.dumps(it)}: {json.dumps(scales(it))}" for it in FOLDERS)
    (HERE / "layer_decay.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
