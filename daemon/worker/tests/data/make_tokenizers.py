#!/usr/bin/env python3
"""Make tokenizers.jsonl: how transformers encodes pairs, words and long texts, by families.

Made with transformers 5.23.0 and tokenizers 0.23.3. `tiny-bert` is the folder of the tests,
`minilm` the fetched model; the two tokenizers of the other families are trained on `TEXTS` here and
lie beside the answers. All positions are in characters, not bytes.
"""

import json, os
from pathlib import Path

import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
ASSETS = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets"))
SINGLE = "The good movie was bright, and we love this warm place in Zürich."
TEXTS = [
    SINGLE,
    "What is the capital of France? Paris is the capital of France.",
    "A man is playing a guitar; a woman isn't singing at all.",
    "How do I learn to cook? What is the best way to learn cooking?",
    "Empire State Building is in New York, and John Smith lives there.",
]
LONG = " ".join(TEXTS)
PAIRS = [
    ("good movie", "a bad film"),
    ("How do I learn to cook?", "What is the best way to learn cooking?"),
    (SINGLE, "sad"),
    ("sad", SINGLE),
    (LONG, SINGLE),
    (LONG, LONG),
    ("", "an empty first"),
    ("an empty second", ""),
    ("", ""),
    ("[SEP] </s> as text", "naïve café 这部 🙂"),
]
# None: nothing is cut.
LENGTHS = [None, 33, 9, 8, 5]
WORDS = [
    ["Empire", "State", "Building", "=", "ESB", "."],
    ["@paulwalk", "It", "'s", "the", "view", "from", "Zürich", "🙂"],
    ["a", "extraordinarily-long", "b"],
    ["isn't", "C++", "...", "$5.00", "U.S."],
    ["Paris"],
    # A word of which no token is left.
    ["good", "\u200b", "movie"],
]
# Longest window, tokens that two windows share.
WINDOWS = [(64, 16), (16, 4), (33, 0)]


def roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(
        sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False
    )
    return tokenizer


def distilbert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXTS,
        trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.BertProcessing(sep=("[SEP]", 3), cls_token=("[CLS]", 2))
    return tokenizer


def opened(path, **special):
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), **special)


def pairs(tokenizer):
    for first, second in PAIRS:
        for length in LENGTHS:
            found = tokenizer(
                first,
                second,
                truncation="longest_first" if length else False,
                max_length=length,
                return_token_type_ids=True,
            )
            yield {
                "texts": [first, second],
                "max_length": length,
                "input_ids": found["input_ids"],
                "token_type_ids": found["token_type_ids"],
            }


def words(tokenizer, prefixed):
    """`split`: each word is encoded alone, as transformers' examples have it for models of tokens
    (byte-level tokenizers with a space before each); `whole`: the words, with spaces between, as
    one text, and each token's word by its place. Special tokens have no word.
    """
    for them in WORDS:
        split = prefixed(them, is_split_into_words=True)
        text, ends = " ".join(them), []
        for word in them:
            ends.append(
                (ends[-1][1] + 1 if ends else 0, (ends[-1][1] + 1 if ends else 0) + len(word))
            )
        whole = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
        of_words = []
        for (start, end), special in zip(whole["offset_mapping"], whole["special_tokens_mask"]):
            # A token that is a space alone has no width: it belongs to the word that begins there.
            last = max(end, start + 1)
            inside = [n for n, (low, high) in enumerate(ends) if start < high and low < last]
            of_words.append(None if special or not inside else inside[0])
        yield {
            "words": them,
            "text": text,
            "spans": ends,
            "split": {"input_ids": split["input_ids"], "word_ids": split.word_ids()},
            "whole": {
                "input_ids": whole["input_ids"],
                "offsets": whole["offset_mapping"],
                "word_ids": of_words,
            },
        }


def windows(tokenizer):
    for length, stride in WINDOWS:
        found = tokenizer(
            LONG,
            truncation=True,
            max_length=length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        yield {
            "text": LONG,
            "max_length": length,
            "stride": stride,
            "windows": found["input_ids"],
            "offsets": found["offset_mapping"],
        }


def main():
    folder = HERE / "tokenizers"
    folder.mkdir(exist_ok=True)
    for make in (roberta, distilbert):
        make().save(str(folder / f"{make.__name__}.json"), pretty=False)
    prefixed = Tokenizer.from_file(str(folder / "roberta.json"))
    prefixed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    auto = transformers.AutoTokenizer.from_pretrained
    families = {
        "tiny-bert": auto(ROOT / "tests/data/tiny-bert"),
        "minilm": auto(ASSETS / "models/minilm"),
        "distilbert": opened(folder / "distilbert.json", unk_token="[UNK]", pad_token="[PAD]"),
        "roberta": opened(folder / "roberta.json", unk_token="<unk>", pad_token="<pad>"),
    }
    byte_level = {"roberta": transformers.PreTrainedTokenizerFast(tokenizer_object=prefixed)}
    lines = []
    for family, tokenizer in families.items():
        kinds = {
            "pairs": pairs(tokenizer),
            "words": words(tokenizer, byte_level.get(family, tokenizer)),
            "windows": windows(tokenizer),
        }
        for kind, cases in kinds.items():
            lines += [
                json.dumps({"family": family, "kind": kind} | it, ensure_ascii=False)
                for it in cases
            ]
    (HERE / "tokenizers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
