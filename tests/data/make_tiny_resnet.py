"""Makes tiny-resnet: a ResNet of timm with four narrow blocks and random weights, small enough to be trained in a test.

Made with torch 2.13.0 and timm 1.0.31. Run it beside this file: python make_tiny_resnet.py
"""
import json
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

ARGS = {"layers": [1, 1, 1, 1], "channels": [8, 16, 24, 32]}

torch.manual_seed(0)
model = timm.create_model("resnet18", num_classes=3, **ARGS)
folder = Path(__file__).parent / "tiny-resnet"
folder.mkdir(exist_ok=True)
save_file(model.state_dict(), folder / "model.safetensors")
preprocessing = {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.0, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "num_classes": 3}
config = {"architecture": "resnet18", "num_classes": 3, "num_features": 32, "model_args": ARGS, "pretrained_cfg": preprocessing}
(folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
