"""Makes gguf.json: what the `gguf` package and llama.cpp's converter make of numbers, of names and of a small file.

    python make_gguf.py

Made with gguf 0.19.0, numpy 2.4.6.
"""

import json
import pathlib
import tempfile

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
KEEP = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3, "gpt2": gguf.MODEL_ARCH.GPT2}
ATTENTION = [f"self_attn.{it}_proj" for it in "qkvo"]
DENSE = ["model.embed_tokens", "model.norm", "lm_head"] + [
    f"model.layers.1.{it}" for it in [*ATTENTION, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"]
]
NORMED = [f"model.layers.1.self_attn.{it}_norm" for it in "qk"]
GPT2 = ["transformer.wte", "transformer.wpe", "transformer.ln_f", "lm_head"] + [
    f"transformer.h.1.{it}" for it in ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]
]
NAMES = {"llama": DENSE, "qwen2": DENSE, "qwen3": DENSE + NORMED, "gpt2": GPT2}


def blocks():
    """Blocks of 32 numbers: drawn, all 0, ties between two steps, so small that the scale is subnormal, and so large that it is not."""
    draw = np.random.default_rng(0)
    rows = [draw.normal(size=32) * size for size in (1, 0.02, 1e-6, 1e4)]
    rows.append(np.zeros(32))
    rows.append(np.concatenate([[127.0, -0.5, 0.5, 1.5, -2.5, 126.5], np.arange(26) + 0.5]))
    rows.append(np.full(32, -3e-8))
    return np.array(rows, dtype=np.float32)


def permuted(rows, heads):
    """Row numbers as `LlamaModel.permute` of convert_hf_to_gguf.py lays them."""
    return np.arange(rows).reshape(heads, 2, rows // heads // 2).swapaxes(1, 2).reshape(rows).tolist()


def rope_freqs(theta, dim, factor, low, high, original):
    """As `LlamaModel.generate_extra_tensors` of the converter computes them."""
    factors = []
    for frequency in 1.0 / (theta ** (np.arange(0, dim, 2, dtype=np.float32) / dim)):
        length = 2 * np.pi / frequency
        if length < original / high:
            factors.append(1.0)
        elif original / low < length:
            factors.append(factor)
        else:
            smooth = (original / length - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return [float(it) for it in factors]


def small_file():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "small.gguf")
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_uint32("llama.block_count", 2)
        writer.add_float32("llama.rope.freq_base", 10000.0)
        writer.add_bool("tokenizer.ggml.add_bos_token", False)
        writer.add_array("tokenizer.ggml.tokens", ["a", "Ġb", "é"])
        writer.add_array("tokenizer.ggml.token_type", [1, 1, 3])
        writer.add_array("tokenizer.ggml.scores", [-1.0, -2.0, 0.0])
        writer.add_tensor("output_norm.weight", np.arange(3, dtype=np.float32))
        writer.add_tensor("token_embd.weight", np.arange(6, dtype=np.float16).reshape(3, 2))
        q8_0 = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor("output.weight", gguf.quants.quantize(blocks()[:2], q8_0), raw_dtype=q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes().hex()


def main():
    numbers = blocks()
    q8_0 = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.Q8_0)
    back = gguf.quants.dequantize(q8_0, gguf.GGMLQuantizationType.Q8_0)
    scaled = [500000.0, 64, 8.0, 1.0, 4.0, 8192.0]
    found = {
        "numbers": [float(it) for it in numbers.flatten()],
        "f16": numbers.astype(np.float16).tobytes().hex(),
        "q8_0": q8_0.tobytes().hex(),
        "q8_0_back": [float(it) for it in back.flatten()],
        "permuted": {"rows": 24, "heads": 3, "order": permuted(24, 3)},
        "rope_freqs": {"parameters": scaled, "factors": rope_freqs(*scaled)},
        "names": {arch: {it: gguf.get_tensor_name_map(KEEP[arch], 2).get_name(it) for it in names} for arch, names in NAMES.items()},
        "file": small_file(),
    }
    (HERE / "gguf.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
