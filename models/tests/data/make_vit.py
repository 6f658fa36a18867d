"""Makes the parity data in `vit/`: tiny ViT, DeiT and DINOv2 of timm and transformers with what they compute.

    python make_vit.py

Made with torch 2.13.0 (CPU), timm 1.0.31, transformers 5.23.0, safetensors 0.8.0, seed 0.
"""

import copy
import json
import pathlib
import re
import tempfile

import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import (
    BitImageProcessor,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTImageProcessor,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

HERE = pathlib.Path(__file__).parent / "vit"
CLASSES, WIDTH, HEADS, DEPTH, RATIO, PATCH, SIDE = 3, 12, 2, 2, 2, 4, 12
# The grid of the position embeddings is 3 x 3; these ask for 4 x 5 and 2 x 2.
SIZES = {"wide": (16, 20), "small": (8, 8)}
LR, BETAS, WEIGHT_DECAY, STEPS = 1e-3, (0.9, 0.999), 0.01, 10
# The bias of a key has no gradient but rounding; torch's default of 1e-8 would blow that up to whole steps.
EPS = 1e-5


def awake(model):
    """Gives every tensor a size that matters: fresh models have biases of 0 and layer scales of 1e-5."""
    for name, p in model.named_parameters():
        one = p.ndim == 1 and not name.endswith("bias")  # of norms and layer scales
        p.data = (1.0 if one else 0.0) + torch.randn_like(p) * (0.1 if p.ndim == 1 else 0.25)
    return model.eval()  # no dropout


def pixels(height, width, n=2):
    return torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(height * width))


def timm_names(model, folder):
    save_for_hf(model, folder, safe_serialization=True)


def huggingface_names(model, folder):
    model.save_pretrained(folder)


def as_saved(model, save, pick):
    """`pick` of every parameter, under the name it has on disk, which is not always the module's."""
    twin = copy.deepcopy(model)
    for p, mine in zip(twin.parameters(), model.parameters()):
        picked = pick(mine)
        p.data = torch.zeros_like(p) if picked is None else picked.detach().clone()
    with tempfile.TemporaryDirectory() as folder:
        save(twin, folder)
        return load_file(pathlib.Path(folder) / "model.safetensors")


def classifier(folder, model, save, logits, resized):
    """`resized` computes logits for images of another size than the config's."""
    awake(model)
    save(model, HERE / folder)
    images, labels = pixels(SIDE, SIDE, 4), torch.tensor([0, 2, 1, 1])
    out = {"images": images, "labels": labels, "logits": logits(model, images)}
    for name, (height, width) in SIZES.items():
        out |= {f"{name}.images": pixels(height, width), f"{name}.logits": resized(model, pixels(height, width))}

    def backward():
        loss = torch.nn.functional.cross_entropy(logits(model, images), labels)
        loss.backward()
        return loss

    out["loss"] = backward()
    out |= {f"gradient.{name}": it for name, it in as_saved(model, save, lambda p: p.grad).items()}
    groups = [
        {"params": [p for p in model.parameters() if 1 < p.ndim], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        backward()
        optimizer.step()
    out |= {f"stepped.{name}": it for name, it in as_saved(model, save, lambda p: p).items()}
    save_file({name: it.detach().clone().contiguous() for name, it in out.items()}, HERE / folder / "expected.safetensors")


def of_timm(folder, architecture, **more):
    sizes = dict(img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_classes=CLASSES) | more
    sizes.setdefault("mlp_ratio", RATIO)
    model = timm.create_model(architecture, **sizes)

    def resized(model, images):
        """What timm does on loading: a model of that size, with the position embeddings resampled."""
        with tempfile.TemporaryDirectory() as there:
            save_for_hf(model, there, safe_serialization=True)
            other = timm.create_model(f"local-dir:{there}", pretrained=True, img_size=tuple(images.shape[-2:]))
            return other.eval()(images)

    classifier(folder, model, timm_names, lambda model, images: model(images), resized)


def of_transformers(folder, model, processor, flag=True):
    more = dict(interpolate_pos_encoding=True) if flag else {}
    classifier(
        folder, model, huggingface_names, lambda model, images: model(images).logits, lambda model, images: model(images, **more).logits
    )
    processor.save_pretrained(HERE / folder)


def sides(**more):
    return more | dict(
        hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, num_labels=CLASSES
    )


def architectures(names):
    """What timm builds at each name."""
    seen = {}
    for name in names:
        model = timm.create_model(name, device="meta")
        seen[name] = dict(
            width=model.embed_dim,
            layers=len(model.blocks),
            heads=model.blocks[0].attn.num_heads,
            patch=model.patch_embed.patch_size[0],
            distilled=hasattr(model, "dist_token"),
            registers=model.num_reg_tokens,
            only_patches_placed=model.no_embed_class,
            layer_scale=hasattr(model.blocks[0].ls1, "gamma"),
            gated=type(model.blocks[0].mlp).__name__ != "Mlp",
        )
    (HERE / "architectures.json").write_text(json.dumps(seen, indent=1) + "\n")


def named(source):
    """The names in a family's table."""
    return re.findall(r'"((?:vit|deit3?)_\w+_patch\w+)",', (HERE.parents[2] / "src" / source).read_text())


def main():
    architectures(named("vit.rs") + named("dinov2.rs"))
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    of_timm("timm_vit", "vit_tiny_patch16_224")
    of_timm("timm_vit_avg", "vit_tiny_patch16_224", global_pool="avg")
    of_timm("timm_deit", "deit_tiny_distilled_patch16_224")
    of_timm("timm_deit3", "deit3_small_patch16_224")
    of_timm("timm_dinov2", "vit_small_patch14_dinov2")
    of_timm("timm_dinov2_giant", "vit_giant_patch14_reg4_dinov2", mlp_ratio=2.66667)
    size = {"height": SIDE, "width": SIDE}
    crop = dict(size={"shortest_edge": SIDE}, crop_size=size)
    inner = dict(intermediate_size=WIDTH * RATIO)
    of_transformers("hf_vit", ViTForImageClassification(ViTConfig(**sides(**inner))), ViTImageProcessor(size=size))
    of_transformers("hf_deit", DeiTForImageClassification(DeiTConfig(**sides(**inner))), DeiTImageProcessor(size=size, crop_size=size))
    dinov2 = sides(mlp_ratio=RATIO)
    of_transformers("hf_dinov2", Dinov2ForImageClassification(Dinov2Config(**dinov2)), BitImageProcessor(**crop), flag=False)
    giant = Dinov2Config(**dinov2, use_swiglu_ffn=True)
    of_transformers("hf_dinov2_giant", Dinov2ForImageClassification(giant), BitImageProcessor(**crop), flag=False)
    # A body alone, as facebook/dinov2-small is published: names without the prefix.
    awake(Dinov2Model(Dinov2Config(**dinov2))).save_pretrained(HERE / "hf_dinov2_body")


if __name__ == "__main__":
    main()
