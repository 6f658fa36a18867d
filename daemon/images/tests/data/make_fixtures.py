"""Makes the files beside it: small images of every kind, and what Pillow, timm, transformers and ImageHash make of them.

    python make_fixtures.py

Made with Pillow 13.0.0, numpy 2.4.6, torch 2.13.0 (CPU), torchvision 0.28.0, timm 1.0.31, transformers 5.23.0,
ImageHash 4.3.2, safetensors 0.8.0. All random numbers are seeded.
"""

import io
import json
import pathlib
import shutil
import struct
import zlib

import imagehash
import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from safetensors.numpy import save_file
from timm.data import resolve_data_config
from timm.data import auto_augment as timm_ops
from timm.data.transforms_factory import transforms_imagenet_eval
from torchvision.transforms import functional as F
from transformers import AutoImageProcessor

HERE = pathlib.Path(__file__).parent
FILES, CONFIGS = HERE / "files", HERE / "configs"
STRIDE = 13  # every 13th number of a prepared image is kept


def photo(width, height, seed):
    """Soft colours, hard edges and a little grain: what a camera sees, as far as filters care."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    values = np.asarray(soft).astype(np.int16)
    y, x = np.mgrid[0:height, 0:width]
    values[(x - width * 0.6) ** 2 + (y - height * 0.4) ** 2 < (min(width, height) * 0.25) ** 2] = (230, 200, 30)
    values[(x + y) % 17 < 2] -= 60
    values += rng.integers(-6, 7, values.shape, dtype=np.int16)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def png(header, rows, chunks=()):
    """For what Pillow can't write: 16 bits of colour, and lies in the header."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = b"".join(chunk(kind, data) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png16(values):
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0), rows)


def images():
    """Name -> bytes."""
    rgb = photo(24, 18, 1)
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 24).astype(np.uint8), (18, 1)))
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    grey_alpha = rgb.convert("L")
    grey_alpha.putalpha(alpha)
    palette = rgb.quantize(16)
    wide = np.random.default_rng(2).integers(0, 65536, (18, 24, 4), dtype=np.uint16)

    def saved(image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    def turned(orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        return exif

    files = {
        "baseline.jpg": saved(rgb, "JPEG", quality=90),
        "sharp_colours.jpg": saved(rgb, "JPEG", quality=90, subsampling=0),
        "progressive.jpg": saved(rgb, "JPEG", quality=90, progressive=True),
        "restarts.jpg": saved(rgb, "JPEG", quality=90, restart_marker_blocks=1),
        "grey.jpg": saved(rgb.convert("L"), "JPEG", quality=90),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG", quality=90),
        "rgb.png": saved(rgb, "PNG"),
        "grey.png": saved(rgb.convert("L"), "PNG"),
        "grey_alpha.png": saved(grey_alpha, "PNG"),
        "alpha.png": saved(rgba, "PNG"),
        "palette.png": saved(palette, "PNG"),
        "palette_transparent.png": saved(palette, "PNG", transparency=3),
        "black_white.png": saved(rgb.convert("1"), "PNG"),
        "turned.png": saved(rgb, "PNG", exif=turned(6)),
        "rgb16.png": png16(wide[..., :3]),
        "alpha16.png": png16(wide),
        "lossy.webp": saved(rgb, "WEBP", quality=90),
        "lossy_alpha.webp": saved(rgba, "WEBP", quality=90, exact=True),
        "lossless.webp": saved(rgba, "WEBP", lossless=True, exact=True),
        "moving.webp": saved(rgb, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(rgb)]),
        "turned.webp": saved(rgb, "WEBP", lossless=True, exif=turned(8)),
        "still.gif": saved(palette, "GIF"),
        "moving.gif": saved(palette, "GIF", save_all=True, append_images=[ImageOps.invert(rgb).quantize(16)], duration=50),
        "rgb.bmp": saved(rgb, "BMP"),
        "palette.bmp": saved(palette, "BMP"),
        "rgb.tiff": saved(rgb, "TIFF", compression="tiff_lzw"),
        "deflated.tiff": saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "grey.tiff": saved(rgb.convert("L"), "TIFF"),
        "cmyk.tiff": saved(rgb.convert("CMYK"), "TIFF"),
        "black_white.tiff": saved(rgb.convert("1"), "TIFF"),
        "turned.tiff": saved(rgb, "TIFF", tiffinfo={274: 3}),
    }
    for orientation in range(1, 9):
        files[f"orientation_{orientation}.jpg"] = saved(photo(16, 10, 3), "JPEG", quality=85, exif=turned(orientation))
    return files


def as_rgb(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")


def decoded():
    """Every file as Pillow sees it. 16 bit grey is not here: Pillow cuts everything above 255 to white."""
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    expected = {}
    for name, data in images().items():
        (FILES / name).write_bytes(data)
        expected[name] = np.asarray(as_rgb(data))
    wide = np.random.default_rng(4).integers(0, 65536, (18, 24, 1), dtype=np.uint16)
    (FILES / "grey16.png").write_bytes(png16(wide))
    expected["grey16.png"] = np.repeat(wide >> 8, 3, axis=2).astype(np.uint8)
    # A file of 50 bytes that claims 30,000 x 30,000 pixels.
    (FILES / "bomb.png").write_bytes(png(struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0), b""))
    photo(24, 18, 1).quantize(16).save(FILES / "palette.tiff", "TIFF")
    save_file(expected, HERE / "decoded.safetensors")


def resized():
    source = photo(61, 47, 5)
    expected = {"source": np.asarray(source)}
    filters = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    for name in filters:
        for width, height in [(20, 15), (61, 12), (70, 20)]:
            small = source.resize((width, height), getattr(Image.Resampling, name.upper()))
            expected[f"{name}_{width}x{height}"] = np.asarray(small)
    save_file(expected, HERE / "resized.safetensors")


TIMM = {
    "timm_defaults": {"num_classes": 1000},
    "timm_bilinear_half": {"input_size": [3, 32, 32], "interpolation": "bilinear", "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3},
    "timm_whole": {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.0},
    "timm_squash": {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "squash"},
    "timm_border": {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "border"},
    "timm_not_square": {"input_size": [3, 24, 40], "interpolation": "bicubic", "crop_pct": 0.9},
    "timm_beyond": {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.2},
}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
TRANSFORMERS = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2},
    "vit_of_old": {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "vit_fast": {"image_processor_type": "ViTImageProcessorFast", "size": {"height": 20, "width": 36}, "resample": 3, **IMAGENET},
    "deit": {"image_processor_type": "DeiTImageProcessor", "size": {"height": 37, "width": 37}, "crop_size": {"height": 32, "width": 32}, **IMAGENET},
    "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}, "resample": 3, "do_center_crop": True, "rescale_factor": 0.00392156862745098, **IMAGENET},
    "convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}, "crop_pct": 0.875, **IMAGENET},
    "efficientnet": {"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 32, "width": 32}, "resample": 0, **IMAGENET},
    "efficientnet_offset": {"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 32, "width": 32}, "resample": 2, "rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False, "do_normalize": False},
    "mobilenet": {"image_processor_type": "MobileNetV2ImageProcessor", "size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    "raw": {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, "do_rescale": False, "do_normalize": False},
}
# Odd rests, upscaling, both shapes.
SHAPES = {"landscape": (83, 61), "portrait": (45, 76), "tiny": (21, 19)}


def prepared():
    """Configs as the libraries write them, and every 13th number of what they make of three images."""
    shutil.rmtree(CONFIGS, ignore_errors=True)
    expected = {name: np.asarray(photo(*size, 6)) for name, size in SHAPES.items()}

    def keep(config, name, numbers):
        assert numbers.shape[0] == 3
        expected[f"{config}/{name}"] = numbers.numpy().astype(np.float32).reshape(-1)[::STRIDE].copy()

    for config, fields in TIMM.items():
        folder = CONFIGS / config
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": fields}, indent=1) + "\n")
        data = resolve_data_config(pretrained_cfg=fields)
        transform = transforms_imagenet_eval(
            img_size=tuple(data["input_size"][1:]),
            interpolation=data["interpolation"],
            crop_pct=data["crop_pct"],
            crop_mode=data["crop_mode"],
            mean=data["mean"],
            std=data["std"],
        )
        for name, size in SHAPES.items():
            numbers = transform(photo(*size, 6))
            if config == "timm_defaults":  # 150,528 numbers
                numbers = numbers[:, ::7, ::7]
            keep(config, name, numbers)
    for config, fields in TRANSFORMERS.items():
        folder = CONFIGS / config
        folder.mkdir(parents=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(fields, indent=1) + "\n")
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        for name, size in SHAPES.items():
            keep(config, name, processor(photo(*size, 6), return_tensors="pt")["pixel_values"][0])
    save_file(expected, HERE / "prepared.safetensors")


def operations():
    """Each operation of the augmentation on one image. Names carry the argument that the Rust function is given."""
    image = photo(23, 19, 7)
    dull = image.point(lambda it: 60 + it // 3)
    fill = (124, 116, 104)
    bilinear = {"fillcolor": fill, "resample": Image.Resampling.BILINEAR}
    made = {
        "source": image,
        "dull": dull,
        "auto_contrast": ImageOps.autocontrast(dull),
        "equalize": ImageOps.equalize(dull),
        "invert": ImageOps.invert(image),
        "sharpness_0.1": ImageEnhance.Sharpness(image).enhance(0.1),
        "sharpness_1.9": ImageEnhance.Sharpness(image).enhance(1.9),
        "hue_0.1": F.adjust_hue(image, 0.1),
        "hue_-0.37": F.adjust_hue(image, -0.37),
        "rotate_27": timm_ops.rotate(image, 27.0, **bilinear),
        "rotate_-8.5": timm_ops.rotate(image, -8.5, **bilinear),
        "shear_x_0.27": timm_ops.shear_x(image, 0.27, **bilinear),
        "shear_y_-0.15": timm_ops.shear_y(image, -0.15, **bilinear),
        "translate_x_0.4": timm_ops.translate_x_rel(image, 0.4, **bilinear),
        "translate_y_-0.21": timm_ops.translate_y_rel(image, -0.21, **bilinear),
        "resized_crop_bicubic": F.resized_crop(image, 3, 5, 14, 17, [20, 20], F.InterpolationMode.BICUBIC),
        "flip_left_right": ImageOps.mirror(image),
        "flip_top_bottom": ImageOps.flip(image),
    }
    for factor in ["0.1", "0.73", "1.42", "1.9"]:
        made[f"brightness_{factor}"] = ImageEnhance.Brightness(image).enhance(float(factor))
        made[f"contrast_{factor}"] = ImageEnhance.Contrast(image).enhance(float(factor))
        made[f"saturation_{factor}"] = ImageEnhance.Color(image).enhance(float(factor))
    for bits in [1, 3, 4]:
        made[f"posterize_{bits}"] = timm_ops.posterize(image, bits)
    for threshold in [0, 26, 256]:
        made[f"solarize_{threshold}"] = timm_ops.solarize(image, threshold)
    made["solarize_add_99"] = timm_ops.solarize_add(image, 99)
    save_file({name: np.ascontiguousarray(np.asarray(it)) for name, it in made.items()}, HERE / "operations.safetensors")


def hashes():
    """Images, copies of them, and ImageHash's number for each as it prints it."""
    source = photo(48, 36, 8)
    compressed = io.BytesIO()
    source.save(compressed, "JPEG", quality=40)
    made = {
        "source": source,
        "half": source.resize((24, 18), Image.Resampling.BICUBIC),
        "compressed": Image.open(compressed).convert("RGB"),
        "brighter": ImageEnhance.Brightness(source).enhance(1.15),
        "blurred": source.filter(ImageFilter.GaussianBlur(1)),
        "trimmed": source.crop((1, 1, 47, 35)),
        "other": photo(40, 40, 9),
        "another": photo(36, 48, 10),
    }
    (HERE / "hashes.json").write_text(json.dumps({name: str(imagehash.phash(it)) for name, it in made.items()}, indent=1) + "\n")
    save_file({name: np.ascontiguousarray(np.asarray(it)) for name, it in made.items()}, HERE / "hashes.safetensors")


if __name__ == "__main__":
    decoded()
    resized()
    prepared()
    operations()
    hashes()
