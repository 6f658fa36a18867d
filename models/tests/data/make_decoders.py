"""Makes the parity data of decoders: what transformers computes with weights that anyone can make again from the
tensors' names, so that none are stored.

    python make_decoders.py

Made with torch 2.13.0 (CPU), transformers 5.23.0, safetensors 0.8.0.
"""

import json
import pathlib
import tempfile

import torch
from make_images import digest, weight
from safetensors import safe_open
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Gemma3TextForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2ForTokenClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    MistralConfig,
    MistralForCausalLM,
    MistralForSequenceClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForTokenClassification,
)

HERE = pathlib.Path(__file__).parent / "decoders"
VOCAB, WIDTH, INNER, LAYERS, POSITIONS, PAD = 64, 24, 40, 2, 48, 2
LENGTHS = [9, 9, 6, 3, 17, 1]
CLASSES, IGNORED = 3, -100
LR, BETAS, WEIGHT_DECAY, EPS, STEPS = 1e-3, (0.9, 0.999), 0.01, 1e-5, 10
GENERATED = 12


def batch():
    """Six texts of 1 to 17 tokens, one behind the other; the token that fills up stands in the midst of the third."""
    ids = [4 + (7 * k * k + 3 * k) % (VOCAB - 4) for k in range(sum(LENGTHS))]
    ids[20] = PAD
    padded = torch.full((len(LENGTHS), max(LENGTHS)), PAD)
    mask = torch.zeros_like(padded)
    start = 0
    for row, n in enumerate(LENGTHS):
        padded[row, :n] = torch.tensor(ids[start : start + n])
        mask[row, :n] = 1
        start += n
    return ids, padded, mask


def targets(padded, mask, per_text):
    """Labels as transformers takes them, and those of texts or tokens one behind the other."""
    if per_text:
        flat = [k % CLASSES for k in range(len(LENGTHS))]
        return torch.tensor(flat), flat
    classes = VOCAB if per_text is None else CLASSES
    flat = [IGNORED if k % 3 == 2 else (5 * k + 1) % classes for k in range(sum(LENGTHS))]
    labels = torch.full_like(padded, IGNORED)
    labels[mask.bool()] = torch.tensor(flat)
    return labels, flat


def pass_of(model, padded, mask, labels, per_text):
    """Logits of texts or tokens, and the mean cross-entropy of those with a label: nothing is shifted."""
    logits = model(input_ids=padded, attention_mask=mask).logits
    if not per_text:
        logits, labels = logits[mask.bool()], labels[mask.bool()]
    return logits, torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)


def record(name, model, per_text=None):
    """`per_text`: true of a head for texts, false of one for tokens, None of one for the vocabulary."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safe_open(f"{folder}/model.safetensors", "pt") as file:
            saved = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    parameters = dict(model.named_parameters())
    assert sorted(parameters) == sorted(saved), set(parameters) ^ set(saved)
    for key, p in parameters.items():
        p.data = weight(key, tuple(p.shape))
    model.eval()  # no dropout
    ids, padded, mask = batch()
    labels, flat = targets(padded, mask, per_text)
    logits, loss = pass_of(model, padded, mask, labels, per_text)
    loss.backward()
    gradient = lambda key: None if parameters[key].grad is None else digest(parameters[key].grad)
    tensors = {key: {"shape": shape, "gradient": gradient(key)} for key, shape in sorted(saved.items())}
    facts = {"config": config, "ids": ids, "lengths": LENGTHS, "labels": flat, "loss": loss.item(), "logits": digest(logits)}
    if per_text is None:
        with torch.no_grad():
            out = model.generate(padded[:1, :9], max_new_tokens=GENERATED, do_sample=False, eos_token_id=None, pad_token_id=PAD)
        facts["generated"] = out[0, 9:].tolist()
    decays = lambda key: not key.endswith("bias") and "norm" not in key and "ln_" not in key
    groups = [
        {"params": [p for key, p in parameters.items() if decays(key)], "weight_decay": WEIGHT_DECAY},
        {"params": [p for key, p in parameters.items() if not decays(key)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        pass_of(model, padded, mask, labels, per_text)[1].backward()
        optimizer.step()
    for key, it in tensors.items():
        it["stepped"] = digest(parameters[key].detach())
    HERE.mkdir(exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(it)}" for key, it in tensors.items())
    facts = ",\n".join(f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in facts.items())
    (HERE / f"{name}.json").write_text(f'{{\n{facts},\n  "tensors": {{\n{lines}\n  }}\n}}\n')
    print(name, loss.item())


def sizes(**more):
    """Four heads of six numbers each, two of keys and values."""
    return dict(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=POSITIONS, pad_token_id=PAD, bos_token_id=1, eos_token_id=3,
        num_labels=CLASSES, attn_implementation="eager", **more,
    )


def llama3():
    """Frequencies of all three kinds: kept, mixed, divided."""
    return dict(
        rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
    )


def yarn():
    return dict(rope_type="yarn", rope_theta=500.0, factor=4.0, original_max_position_embeddings=12)


def gpt2(**more):
    return GPT2Config(
        vocab_size=VOCAB, n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_inner=INNER, n_positions=POSITIONS, pad_token_id=PAD,
        bos_token_id=1, eos_token_id=3, num_labels=CLASSES, attn_implementation="eager", **more,
    )


def gemma3(**more):
    """Of four layers the last sees all; queries are divided by another root than that of a head's numbers."""
    windows = dict(sliding_window=4, layer_types=["sliding_attention"] * 3 + ["full_attention"])
    return Gemma3TextConfig(**sizes(head_dim=8, query_pre_attn_scalar=20, **windows, **more) | dict(num_hidden_layers=4))


def main():
    torch.set_num_threads(1)
    record("llama", LlamaForCausalLM(LlamaConfig(**sizes(tie_word_embeddings=True, rope_parameters=llama3()))))
    record("llama_biased", LlamaForCausalLM(LlamaConfig(**sizes(attention_bias=True, mlp_bias=True, head_dim=8))))
    record("llama_classes", LlamaForSequenceClassification(LlamaConfig(**sizes())), per_text=True)
    record("llama_tags", LlamaForTokenClassification(LlamaConfig(**sizes())), per_text=False)
    record("mistral", MistralForCausalLM(MistralConfig(**sizes(sliding_window=4))))
    record("mistral_classes", MistralForSequenceClassification(MistralConfig(**sizes(sliding_window=4))), per_text=True)
    linear = dict(rope_type="linear", rope_theta=10000.0, factor=2.0)
    record("qwen2", Qwen2ForCausalLM(Qwen2Config(**sizes(tie_word_embeddings=True, rope_parameters=linear))))
    windows = dict(use_sliding_window=True, sliding_window=5, max_window_layers=1)
    record("qwen2_windows", Qwen2ForCausalLM(Qwen2Config(**sizes(**windows))))
    record("qwen3", Qwen3ForCausalLM(Qwen3Config(**sizes(head_dim=8, rope_parameters=yarn()))))
    record("qwen3_tags", Qwen3ForTokenClassification(Qwen3Config(**sizes(head_dim=8))), per_text=False)
    record("gemma3", Gemma3ForCausalLM(gemma3(rope_parameters=None)))
    scaled = dict(sliding_attention=dict(rope_type="default", rope_theta=300.0), full_attention=dict(rope_type="linear", rope_theta=900.0, factor=4.0))
    record("gemma3_scaled", Gemma3ForCausalLM(gemma3(rope_parameters=scaled, attention_bias=True, tie_word_embeddings=False)))
    record("gemma3_classes", Gemma3TextForSequenceClassification(gemma3()), per_text=True)
    record("gpt2", GPT2LMHeadModel(gpt2()))
    record("gpt2_classes", GPT2ForSequenceClassification(gpt2()), per_text=True)
    record("gpt2_tags", GPT2ForTokenClassification(gpt2()), per_text=False)


if __name__ == "__main__":
    main()
