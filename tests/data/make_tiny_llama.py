#!/usr/bin/env python3
"""Make tests/data/tiny-llama: a Llama that trains in a second, for tests of the whole way.

Made with torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3. Random weights, seed 0; the vocabulary is that of make_tiny_bert.py
and bytes for all else. The chat template is ChatML's, as SmolLM2 and Qwen2 have it.
"""
from pathlib import Path

import torch, transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from make_tiny_bert import WORDS

CHAT_TEMPLATE = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


def main():
    dest = Path(__file__).parent / "tiny-llama"
    dest.mkdir(exist_ok=True)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=[AddedToken(it, special=True, normalized=False) for it in special],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([f"{a} {b}\n" for a in WORDS + ["user", "assistant", "system"] for b in WORDS], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>",
                                                pad_token="<|im_end|>", model_max_length=128)
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(dest)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=len(fast), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                      intermediate_size=64, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=2,
                                      tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(dest)
    print(dest, sum(f.stat().st_size for f in dest.iterdir()), "bytes")


if __name__ == "__main__":
    main()
