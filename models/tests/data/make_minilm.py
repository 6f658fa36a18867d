"""Makes minilm.json beside it: hidden states of sentences-transformers' all-MiniLM-L6-v2 for a few sentences.

    python make_minilm.py FOLDER_OF_THE_MODEL

Made with torch 2.13.0 (CPU), transformers 5.23.0.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "The delivery came two days late, but the crew was friendly.",
    "Großartig! Ünïcode, emoji 🙂 and numbers 12,345.67",
    "no",
    "A longer text, so that the others are padded: " + "the machine stops, the operator waits, the shift ends. " * 8,
]


def main():
    folder = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    sentences = []
    for text in SENTENCES:
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        sentences.append(
            {
                "text": text,
                "ids": ids,
                "first": hidden[0, :8].tolist(),
                "last": hidden[-1, :8].tolist(),
                "mean": hidden.double().mean().item(),
                "mean_absolute": hidden.double().abs().mean().item(),
            }
        )
    target = pathlib.Path(__file__).with_name("minilm.json")
    target.write_text(json.dumps({"sentences": sentences}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
