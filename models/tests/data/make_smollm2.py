"""Makes smollm2.json beside it: logits of SmolLM2-135M-Instruct after a prompt, and how it goes on, the most likely token each time.

    python make_smollm2.py FOLDER_OF_THE_MODEL

Made with torch 2.13.0 (CPU), transformers 5.23.0.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "The three states of water are"
GENERATED = 64


def main():
    folder = sys.argv[1]
    ids = AutoTokenizer.from_pretrained(folder)(PROMPT)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        out = model.generate(torch.tensor([ids]), max_new_tokens=GENERATED, do_sample=False, eos_token_id=None, pad_token_id=2)
    facts = {
        "ids": ids,
        "first": logits[0, :8].tolist(),
        "last": logits[-1, :8].tolist(),
        "mean": logits.double().mean().item(),
        "mean_absolute": logits.double().abs().mean().item(),
        "generated": out[0, len(ids) :].tolist(),
    }
    pathlib.Path(__file__).with_name("smollm2.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(AutoTokenizer.from_pretrained(folder).decode(facts["generated"]))


if __name__ == "__main__":
    main()
