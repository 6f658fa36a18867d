#!/usr/bin/env python3
"""Make tags/: a model of tokens with random weights, and the entities that transformers' pipeline
finds with it in texts of several kinds.

Made with torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3; seed 0. The body is a smaller one
than tests/data/tiny-bert with that folder's tokenizer; weights are scaled up so that predictions
vary from token to token. Starts and ends are in characters, not bytes.
"""

import json, shutil
from pathlib import Path

import torch, transformers

HERE = Path(__file__).parent
BASE = HERE.parents[3] / "tests/data/tiny-bert"
LABELS = ["O", "B-PER", "I-PER", "B-geo-loc", "I-geo-loc"]
TEXTS = [
    "We love this warm place in Zürich, and Anna Smith was so happy there!",
    "good great lovely fine happy love bright warm bad awful poor sad angry hate",
    "naïve café — “quotes” … €5",
    "🙂👍🏽 emoji before New York 👩‍👩‍👧 and after",
    "这部电影很好看 movie",
    "a\u0301 e\u0301 combining zero\u200bwidth \u00adsoft",
    "tab\there  double  spaces\nand a line",
    "[MASK] [SEP] as text, U.S. isn't C++",
    " ".join(["a very good day in Paris,"] * 8),
    "!",
    "",
]


def main():
    torch.manual_seed(0)
    folder = HERE / "tags"
    tokenizer = transformers.AutoTokenizer.from_pretrained(BASE)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=0,
        initializer_range=0.6,
        id2label=dict(enumerate(LABELS)),
        label2id={name: i for i, name in enumerate(LABELS)},
    )
    model = transformers.BertForTokenClassification(config).eval()
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    find = transformers.pipeline(
        "token-classification", model=str(folder), aggregation_strategy="simple"
    )
    cases = []
    for text in TEXTS:
        tokens = tokenizer(text, truncation=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**tokens).logits[0]
        entities = [it | {"score": float(it["score"])} for it in find(text)]
        case = {"text": text, "input_ids": tokens["input_ids"][0].tolist()}
        case["labels"] = [LABELS[i] for i in logits.argmax(-1)]
        case["logits"] = [[round(it, 6) for it in row] for row in logits.tolist()]
        cases.append(json.dumps(case | {"entities": entities}, ensure_ascii=False))
    (folder / "entities.json").write_text("[\n" + ",\n".join(cases) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
