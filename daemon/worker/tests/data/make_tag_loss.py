#!/usr/bin/env python3
"""Make tag_loss.json: loss, gradients and ten updates of the model in tags/ over three tagged sentences.

Made with torch 2.13.0, transformers 5.23.0, tokenizers 0.23.3. All sub-tokens of a word are labelled, those behind the
first as inside its entity (`label_all_tokens` of transformers' example run_ner.py); the model's own loss is used.
"""

import json
from pathlib import Path

import torch, transformers

HERE = Path(__file__).parent
SENTENCES = [
    ("we love Zürich and Anna Smith", "O O B-geo-loc O B-PER I-PER"),
    ("sad", "O"),
    ("New York was warm , Bob", "B-geo-loc I-geo-loc O O O B-PER"),
]
SHOWN = ["classifier.weight", "classifier.bias", "bert.encoder.layer.0.output.LayerNorm.weight", "bert.embeddings.LayerNorm.bias"]
STEPS, LR = 10, 1e-3


def labels_of(tokenizer, model, text, tags):
    words, start = [], 0
    for word in text.split(" "):
        words.append((start, start + len(word)))
        start += len(word) + 1
    encoding = tokenizer(text, return_offsets_mapping=True)
    found, before = [], None
    for (begin, end), token in zip(encoding["offset_mapping"], encoding["input_ids"]):
        if token in (tokenizer.cls_token_id, tokenizer.sep_token_id):
            found.append(-100)
            continue
        word = next(i for i, it in enumerate(words) if begin < it[1] and it[0] < end)
        tag = tags[word] if word != before else tags[word].replace("B-", "I-")
        found.append(model.config.label2id[tag])
        before = word
    return found


def main():
    tokenizer = transformers.AutoTokenizer.from_pretrained(HERE / "tags")
    model = transformers.AutoModelForTokenClassification.from_pretrained(HERE / "tags").eval()
    batch = tokenizer([text for text, _ in SENTENCES], padding=True, return_tensors="pt")
    width = batch["input_ids"].shape[1]
    labels = [labels_of(tokenizer, model, text, tags.split(" ")) for text, tags in SENTENCES]
    labels = torch.tensor([it + [-100] * (width - len(it)) for it in labels])
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    parameters, losses, gradients = dict(model.named_parameters()), [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = {name: parameters[name].grad.flatten().tolist() for name in SHOWN}
        optimizer.step()
    after = {name: parameters[name].detach().flatten().tolist() for name in SHOWN}
    found = {"sentences": SENTENCES, "lr": LR, "losses": losses, "gradients": gradients, "after": after}
    (HERE / "tag_loss.json").write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
