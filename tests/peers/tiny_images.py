"""Base models of images with random, seeded weights, saved by the library that they are of, and images to try
them on."""
import random

import timm, torch, transformers
from PIL import Image
from timm.models import save_for_hf

# What both models of a kind have: patches of 8 pixels, two layers of width 32.
VIT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, patch_size=8)


def timm_model(folder, architecture, side, **arguments):
    torch.manual_seed(0)
    # Where the classifier is, timm's own folders say too.
    own = {key: timm.get_pretrained_cfg(architecture).to_dict()[key] for key in ("first_conv", "classifier")}
    config = dict(input_size=(3, side, side), crop_pct=1.0, interpolation="bicubic", **own)
    model = timm.create_model(architecture, pretrained_cfg=config, num_classes=4, **arguments)
    save_for_hf(model, folder, model_args=arguments, safe_serialization=True)


def timm_resnet(folder):
    timm_model(folder, "resnet18", 32, layers=(1, 1, 1, 1), channels=(8, 16, 24, 32))


def timm_vit(folder):
    timm_model(folder, "vit_tiny_patch16_224", 32, img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)


def timm_convnext(folder):
    timm_model(folder, "convnext_atto", 32, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))


def transformers_model(folder, kind, config, processor):
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def hf_vit(folder):
    processor = transformers.ViTImageProcessorPil(size=dict(height=32, width=32))
    transformers_model(folder, transformers.ViTForImageClassification, transformers.ViTConfig(**VIT, image_size=32), processor)


def hf_deit(folder):
    processor = transformers.DeiTImageProcessorPil(size=dict(height=40, width=40), crop_size=dict(height=32, width=32))
    transformers_model(folder, transformers.DeiTForImageClassification, transformers.DeiTConfig(**VIT, image_size=32), processor)


def hf_dinov2(folder):
    processor = transformers.BitImageProcessorPil(size=dict(shortest_edge=40), crop_size=dict(height=32, width=32))
    config = transformers.Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, patch_size=8, image_size=48)
    transformers_model(folder, transformers.Dinov2ForImageClassification, config, processor)


def hf_convnext(folder):
    processor = transformers.ConvNextImageProcessorPil(size=dict(shortest_edge=32), crop_pct=0.8)
    config = transformers.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32])
    transformers_model(folder, transformers.ConvNextForImageClassification, config, processor)


def image(n, size):
    """A bright square in one of three colours on noise; the colour is `n % 3`."""
    draw = random.Random(n)
    image = Image.frombytes("RGB", size, bytes(draw.randrange(90) for _ in range(3 * size[0] * size[1])))
    colour = tuple(draw.randrange(170, 255) if channel == n % 3 else draw.randrange(60) for channel in range(3))
    side = min(size) // 2
    left, top = draw.randrange(size[0] - side + 1), draw.randrange(size[1] - side + 1)
    image.paste(colour, (left, top, left + side, top + side))
    return image
