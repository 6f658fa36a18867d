#!/usr/bin/env python3
"""Make tests/data/tiny-bert: a BERT that trains in a second, for tests of the whole way.

Made with torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3. Random weights, seed 0; the vocabulary is
that of `words`, which the tests' data sets are written in, and single letters for all else.
"""
import string
from pathlib import Path

import torch, transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = """good great lovely fine happy love bright warm bad awful poor sad angry hate dark cold the a an is was it this that
movie film book day food place song game and but very not quite really so too i we they my our your one two three""".split()


def main():
    dest = Path(__file__).parent / "tiny-bert"
    dest.mkdir(exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_lowercase + string.digits + ".,!?'-")
    pieces = special + letters + ["##" + c for c in letters] + [w for w in WORDS if w not in letters]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", model_max_length=64)
    fast.save_pretrained(dest)
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                                     max_position_embeddings=64, pad_token_id=0)
    transformers.BertModel(config).save_pretrained(dest)
    print(dest, sum(f.stat().st_size for f in dest.iterdir()), "bytes")


if __name__ == "__main__":
    main()
