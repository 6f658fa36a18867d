"""Makes the parity data of the convolutional models: what timm and transformers compute with weights that anyone
can make again from the tensors' names, so that none are stored.

    python make_images.py            # all but lite0.json
    python make_images.py FOLDER     # lite0.json, from the real weights that tests/assets/fetch.py brings

Made with torch 2.13.0 (CPU), timm 1.0.31, transformers 5.23.0.
"""

import json
import math
import pathlib
import sys

import numpy as np
import timm
import torch
from transformers import ConvNextConfig, ConvNextForImageClassification, ResNetConfig, ResNetForImageClassification

HERE = pathlib.Path(__file__).parent / "images"
CLASSES, IMAGES, SIZE = 3, 4, 64
LR, BETAS, WEIGHT_DECAY, STEPS = 1e-3, (0.9, 0.999), 0.01, 10
# Batch norm over few pixels leaves gradients that are sums of large numbers that cancel. torch's default of 1e-8
# would blow their rounding up to whole steps.
EPS = 1e-3
# Names and shapes of these are held by a hash.
VARIANTS = (
    [f"resnet{n}" for n in (18, 34, 50, 101, 152)]
    + [f"{tf}efficientnet_lite{n}" for tf in ("", "tf_") for n in range(5)]
    + [f"{tf}mobilenetv3_{n}" for tf in ("", "tf_") for n in ("large_075", "large_100", "small_075", "small_100")]
    + ["mobilenetv3_small_050"]
    + [f"convnext_{n}" for n in "atto femto pico nano tiny small base large xlarge".split()]
)


def fnv(text):
    """FNV-1a, 64 bits."""
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    return state


def noise(name, shape):
    """Numbers in [-1, 1) of 24 bits: SplitMix64 of name and place."""
    z = np.uint64(fnv(name)) + np.arange(math.prod(shape), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)


def weight(name, shape):
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    v = noise(name, shape)
    if len(shape) > 1:
        v = v * math.sqrt(3 / math.prod(shape[1:]))
    elif name.endswith(("weight", "running_var", "gamma", "layer_scale_parameter")):
        v = 1 + 0.25 * v
    else:
        v = 0.1 * v
    return torch.from_numpy(v.astype(np.float32))


def digest(tensor):
    """Norm, sum and six elements."""
    flat = tensor.detach().double().flatten()
    picks = [flat[(2 * k + 1) * flat.numel() // 12].item() for k in range(6)]
    return [float(f"{it:.9g}") for it in [flat.norm().item(), flat.sum().item(), *picks]]


def apart(ours, exact):
    """The largest difference of two digests, for a norm of 1; the sum is their second number."""
    numel, scale = exact.numel(), max(1, exact.double().norm().item())
    pairs = zip(digest(ours), digest(exact))
    return max(abs(a - b) / (max(1, math.sqrt(numel)) if k == 1 else 1) for k, (a, b) in enumerate(pairs)) / scale


def batch(kind):
    return torch.from_numpy(noise("pixels", (IMAGES, 3, SIZE, SIZE)).astype(np.float32)).to(kind), torch.tensor([0, 2, 1, 1])


def trained(model, forward, kind, memory=torch.contiguous_format):
    """Logits, loss, gradients and statistics of one pass; then parameters and statistics after ten steps."""
    pixels, labels = batch(kind)
    pixels = pixels.to(memory_format=memory)
    model.to(kind).eval()
    start = {name: weight(name, tuple(it.shape)) for name, it in model.state_dict().items()}
    model.load_state_dict(start)
    with torch.no_grad():
        logits = forward(pixels)
    model.train()

    def backward():
        model.zero_grad()
        out = forward(pixels)
        loss = torch.nn.functional.cross_entropy(out, labels)
        loss.backward()
        return out.detach(), loss.item()

    training_logits, loss = backward()
    once = {name: it.grad.clone() for name, it in model.named_parameters()}
    once |= {name: it.clone() for name, it in model.named_buffers()}
    model.load_state_dict(start)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    for _ in range(STEPS):
        backward()
        optimizer.step()
    return logits, training_logits, loss, once, {name: it.clone() for name, it in model.state_dict().items()}


def record(model, forward):
    """The numbers as double precision has them, and how far single precision is from that, with memory as ours
    lies: deep nets at random weights, with batch norm over few pixels and corners in ReLU6, blow rounding up, each
    by its own factor."""
    rough = trained(model, forward, torch.float32, torch.channels_last)
    exact = trained(model, forward, torch.float64)
    logits, training_logits, loss, once, stepped = exact
    far = lambda ours, exact: max(apart(ours[name], exact[name]) for name in exact)
    rounding = {
        "logits": (rough[0] - logits).abs().max().item(),
        "training_logits": (rough[1] - training_logits).abs().max().item(),
        "once": far(rough[3], once),
        "stepped": far(rough[4], stepped),
    }
    facts = {"logits": logits.flatten().tolist(), "training_logits": training_logits.flatten().tolist(), "loss": loss}
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {
        name: {"shape": list(it.shape), "gradient" if name in parameters else "moved": digest(once[name]), "stepped": digest(it)}
        for name, it in stepped.items()
    }
    return facts | {"rounding": rounding}, tensors


def write(name, config, facts, tensors):
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(it)}" for name, it in tensors.items())
    facts = ",\n".join(f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in facts.items())
    (folder / "expected.json").write_text(f"{{\n{facts},\n  \"tensors\": {{\n{lines}\n  }}\n}}\n")
    print(name, facts.split('"loss": ')[1], flush=True)


def of_timm(name, architecture, **args):
    model = timm.create_model(architecture, num_classes=CLASSES, **args)
    config = {"architecture": architecture, "num_classes": CLASSES, "num_features": model.num_features}
    config |= {"model_args": args} if args else {}
    cfg = {key: model.pretrained_cfg[key] for key in ("input_size", "interpolation", "crop_pct", "mean", "std")}
    write(name, config | {"pretrained_cfg": cfg | {"num_classes": CLASSES}}, *record(model, model))


def of_transformers(name, model):
    write(name, model.config.to_dict() | {"architectures": [type(model).__name__]}, *record(model, lambda pixels: model(pixel_values=pixels).logits))


def names():
    """For each variant: tensors, and a hash of their names and shapes."""
    found = {}
    for name in VARIANTS:
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=CLASSES)
        lines = sorted(f"{key} {list(it.shape)}" for key, it in model.state_dict().items())
        found[name] = [len(lines), f"{fnv(''.join(lines)):016x}"]
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in found.items())
    (HERE / "variants.json").write_text(f"{{\n{lines}\n}}\n")


def lite0(folder):
    """The pretrained model on an image of coarse noise."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    coarse = noise("pixels", (1, 3, 14, 14)).astype(np.float32)
    with torch.no_grad():
        logits = model(torch.from_numpy(coarse.repeat(16, 2).repeat(16, 3)))[0]
    top = logits.topk(5)
    (HERE / "lite0.json").write_text(json.dumps({"top": top.indices.tolist(), "logits": logits[::10].tolist(), "norm": logits.norm().item()}) + "\n")
    print(top)


def main():
    torch.set_num_threads(2)
    if len(sys.argv) == 2:
        return lite0(sys.argv[1])
    small = dict(num_labels=CLASSES)
    of_timm("resnet_basic", "resnet18", layers=[1, 1, 2, 1], channels=[8, 16, 24, 32])
    of_timm("resnet_bottleneck", "resnet50", layers=[1, 2, 1, 1], channels=[8, 8, 16, 16])
    hf = ResNetConfig(**small, embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1])
    of_transformers("resnet_hf", ResNetForImageClassification(hf))
    of_timm("efficientnet_lite0", "efficientnet_lite0")
    of_timm("tf_efficientnet_lite0", "tf_efficientnet_lite0")
    of_timm("mobilenetv3_large", "mobilenetv3_large_100")
    of_timm("tf_mobilenetv3_small", "tf_mobilenetv3_small_100")
    of_timm("convnext", "convnext_tiny", depths=[1, 1, 2, 1], dims=[8, 16, 24, 32])
    of_timm("convnext_pointwise", "convnext_atto", depths=[1, 1, 1, 2], dims=[8, 12, 16, 20])
    hf = ConvNextConfig(**small, hidden_sizes=[8, 12, 16, 24], depths=[1, 2, 1, 1])
    of_transformers("convnext_hf", ConvNextForImageClassification(hf))
    names()


if __name__ == "__main__":
    main()
