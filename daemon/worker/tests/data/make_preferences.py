#!/usr/bin/env python3
"""Make preferences.json: ten updates of tests/data/tiny-llama by TRL's own trainers over three pairs, and over six answers alone.

Made with torch 2.13.0, transformers 5.23.0, trl 1.16.0. Each trainer prepares its batch (template, tokens, masks, KTO's answers to other
questions) and computes its loss; the updates are torch's AdamW. Usage: make_preferences.py SCRATCH_FOLDER
"""
import json, logging, sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer, cpo_trainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer, orpo_trainer

HERE = Path(__file__).resolve().parent
TINY = str(HERE.parents[3] / "tests/data/tiny-llama")
STEPS, LR = 10, 1e-3
PAIRS = [
    ("is the movie good", "it was lovely and warm", "no"),
    ("and the book? 你好", "not so", "awful, really awful and cold"),
    ("how was the day", "warm", "sad"),
]
ALONE = [("is the movie good", "it was lovely", True), ("and the book", "awful", False), ("how was the day", "warm and bright", True),
         ("the food", "no", False), ("the place", "cold, really", False), ("the song 🙂", "lovely", True)]
MARGINS = [0.5, 0.0, 1.25]
SHOWN = ["model.norm.weight", "model.layers.0.input_layernorm.weight", "model.layers.1.self_attn.k_proj.weight"]


def message(role, text):
    return [{"role": role, "content": text}]


def pairs(margins=False):
    rows = [{"prompt": message("user", q), "chosen": message("assistant", a), "rejected": message("assistant", b)} for q, a, b in PAIRS]
    return Dataset.from_list([{**it, "margin": m} for it, m in zip(rows, MARGINS)] if margins else rows)


def alone():
    return Dataset.from_list([{"prompt": message("user", q), "completion": message("assistant", a), "label": it} for q, a, it in ALONE])


def case(name, trainer_of, config_of, folder, rows, settings, classes=False):
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(TINY, num_labels=1) if classes else AutoModelForCausalLM.from_pretrained(TINY)
    score = model.score.weight.flatten().tolist() if classes else []
    config = config_of(output_dir=folder, report_to=[], use_cpu=True, bf16=False, per_device_train_batch_size=len(rows), max_length=128,
                       gradient_checkpointing=False, remove_unused_columns=False, **settings)
    trainer = trainer_of(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    model = trainer.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    parameters, losses, margins, gradient = dict(model.named_parameters()), [], [], None
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = trainer.compute_loss(model, batch)
        loss.backward()
        losses.append(loss.item())
        margins.append(margin(trainer))
        gradient = gradient or parameters[SHOWN[0]].grad.flatten().tolist()
        optimizer.step()
    print(name, losses[0], losses[-1], margins[-1])
    after = {it: [round(x, 7) for x in parameters[it].detach().flatten().tolist()] for it in SHOWN}
    return {"name": name, "losses": losses, "margins": margins, "gradient": gradient, "score": score, "after": after}


def margin(trainer):
    """As the trainer logs it, of the last batch."""
    metrics = getattr(trainer, "_stored_metrics", None) or trainer._metrics
    value = metrics["train"].get("rewards/margins") or metrics["train"]["margin"]
    return float(value[-1])


def main():
    logging.disable(logging.WARNING)
    folder = sys.argv[1]
    # These two put a token that ends texts behind a template's own end, which no other trainer does, and nobody who generates.
    cpo_trainer.add_eos_token_if_needed = orpo_trainer.add_eos_token_if_needed = lambda _, chosen, rejected: (chosen, rejected)
    cases = [
        case("dpo", DPOTrainer, DPOConfig, folder, pairs(), {"beta": 0.1}),
        case("ipo", DPOTrainer, DPOConfig, folder, pairs(), {"beta": 0.1, "loss_type": "ipo"}),
        case("kto", KTOTrainer, KTOConfig, folder, alone(), {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.5}),
        case("orpo", ORPOTrainer, ORPOConfig, folder, pairs(), {"beta": 0.1}),
        case("simpo", CPOTrainer, CPOConfig, folder, pairs(),
             {"beta": 2.0, "simpo_gamma": 1.0, "loss_type": "simpo", "cpo_alpha": 0.0, "label_smoothing": 0.1}),
        case("reward", RewardTrainer, RewardConfig, folder, pairs(margins=True), {}, classes=True),
    ]
    out = {"lr": LR, "pairs": PAIRS, "alone": ALONE, "margins": MARGINS, "cases": cases}
    (HERE / "preferences.json").write_text(json.dumps(out, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
