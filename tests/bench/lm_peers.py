"""The references for `make bench BENCH=lm`: TRL's SFTTrainer and DPOTrainer with peft's LoRA, and the Hugging Face Trainer for masked
tokens, as their documentation shows them; and one way to score a model, whoever made it.

Same weights, rows, epochs, batch, learning rate, longest text, rank and number of threads as ours; their own defaults for all else, but
fp32 and, unless asked for, no gradient checkpointing, both of which TRL would choose otherwise and be slower here.
"""
import argparse, json, math

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling, Trainer, TrainingArguments

# Seed of the masks that a model of masked tokens is scored by.
MASKS = 0


def rows(data, part):
    with open(f"{data}/{part}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lora():
    from peft import LoraConfig
    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def settings(args, of, **more):
    if of is not TrainingArguments:
        more |= {"bf16": False, "gradient_checkpointing": args.checkpointing, "max_length": args.max_tokens}
    return of(args.out, num_train_epochs=args.epochs, per_device_train_batch_size=args.batch, learning_rate=args.lr, seed=args.seed, report_to="none", **more)


def train_instructions(args):
    from trl import SFTConfig, SFTTrainer
    trainer = SFTTrainer(args.base, args=settings(args, SFTConfig), train_dataset=Dataset.from_list(rows(args.data, "train")), peft_config=lora())
    trainer.train()
    return trainer.model.merge_and_unload(), trainer.processing_class


def train_preferences(args):
    from trl import DPOConfig, DPOTrainer
    trainer = DPOTrainer(args.base, args=settings(args, DPOConfig), train_dataset=Dataset.from_list(rows(args.data, "train")), peft_config=lora())
    trainer.train()
    return trainer.model.merge_and_unload(), trainer.processing_class


def train_masked(args):
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    model = AutoModelForMaskedLM.from_pretrained(args.base)
    encoded = [tokenizer(it["text"], truncation=True, max_length=args.max_tokens) for it in rows(args.data, "train")]
    trainer = Trainer(model, settings(args, TrainingArguments), train_dataset=encoded, data_collator=DataCollatorForLanguageModeling(tokenizer), processing_class=tokenizer)
    trainer.train()
    return model, tokenizer


def answer_loss(model, tokenizer, prompt, answer, max_tokens):
    """Sum of -log p over the answer's tokens, and how many there are: none where all of it is cut away."""
    template = lambda messages, **more: tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **more)
    asked, whole = template(prompt, add_generation_prompt=True), template([*prompt, *answer])[:max_tokens]
    if len(whole) <= len(asked):
        return 0.0, 0
    ids = torch.tensor([whole])
    logits = model(ids).logits[0, len(asked) - 1:-1]
    return torch.nn.functional.cross_entropy(logits, ids[0, len(asked):], reduction="sum").item(), len(whole) - len(asked)


def score_instructions(args):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(args.base).eval(), AutoTokenizer.from_pretrained(args.base)
    found = [answer_loss(model, tokenizer, it["prompt"], it["completion"], args.max_tokens) for it in rows(args.data, "test")]
    return {"perplexity": math.exp(sum(it[0] for it in found) / sum(it[1] for it in found))}


def score_preferences(args):
    """The part of the pairs whose chosen answer is the likelier one for a token."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(args.base).eval(), AutoTokenizer.from_pretrained(args.base)
    right = []
    for it in rows(args.data, "test"):
        (chosen, n), (rejected, m) = (answer_loss(model, tokenizer, it["prompt"], it[name], args.max_tokens) for name in ("chosen", "rejected"))
        if n and m:
            right.append(chosen / n < rejected / m)
    return {"accuracy": sum(right) / len(right)}


def score_masked(args):
    """The same masks for all models: each text's are drawn once."""
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(args.base).eval(), AutoTokenizer.from_pretrained(args.base)
    torch.manual_seed(MASKS)
    collate, total, count = DataCollatorForLanguageModeling(tokenizer), 0.0, 0
    for it in rows(args.data, "test"):
        batch = collate([tokenizer(it["text"], truncation=True, max_length=args.max_tokens)])
        logits, labels = model(**batch).logits, batch["labels"]
        total += torch.nn.functional.cross_entropy(logits[0], labels[0], ignore_index=-100, reduction="sum").item()
        count += int((labels != -100).sum())
    return {"perplexity": math.exp(total / count)}


TRAIN = {"instructions": train_instructions, "preferences": train_preferences, "masked": train_masked}
SCORE = {"instructions": score_instructions, "preferences": score_preferences, "masked": score_masked}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("train", "score"))
    parser.add_argument("case", choices=TRAIN)
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True, help="folder with train.jsonl and test.jsonl")
    parser.add_argument("--out")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--checkpointing", action="store_true")
    for name in ("max-tokens", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "score":
        with torch.inference_mode():
            return print(json.dumps(SCORE[args.case](args)))
    model, tokenizer = TRAIN[args.case](args)
    model.save_pretrained(f"{args.out}/model")
    tokenizer.save_pretrained(f"{args.out}/model")
    print(json.dumps({}))


if __name__ == "__main__":
    main()
