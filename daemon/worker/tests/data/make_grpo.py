#!/usr/bin/env python3
"""Make grpo.json: updates of tests/data/tiny-llama by TRL's own GRPOTrainer over given answers and given rewards.

Made with torch 2.13.0, transformers 5.23.0, trl 1.16.0, peft 0.21.2. The trainer prepares its batch (template, tokens, masks, advantages,
likelihoods by the model that made the answers) and computes its loss; only what would be drawn is given. The updates are torch's AdamW. Of the case
with an adapter the loss is the trainer's, and the gradients those of the formula in fp64, each answer alone: in the trainer's padded batch they are off by 1 %.
Usage: make_grpo.py SCRATCH_FOLDER
"""
import json, logging, sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

HERE = Path(__file__).resolve().parent
TINY = str(HERE.parents[3] / "tests/data/tiny-llama")
STEPS, LR, GROUP, LONGEST, END = 6, 3e-3, 4, 16, 2
PROMPTS = ["is the movie good", "and the book? 你好"]
# What the model answers, and whether it comes to an end; a group is rewarded alike in the last case of both.
ANSWERS = [[("good", True), ("so bad, really bad and cold", True), ("it was lovely and wa", False), ("7", True)],
           [("no", True), ("", True), ("awful and dark an", False), ("the book was warm", True)]]
REWARDS = [[1.0, 0.0, 0.25, 0.5], [0.0, 0.5, 2.0, -1.0]]
ALIKE = [[1.0, 0.0, 0.25, 0.5], [0.5, 0.5, 0.5, 0.5]]
SHOWN = ["model.norm.weight", "model.layers.0.input_layernorm.weight", "model.layers.1.self_attn.k_proj.weight"]
FACTORS = [f"model.layers.{it}.mlp.down_proj.lora_{which}" for it in range(2) for which in "AB"]


def case(name, folder, rewards, settings, lora=False):
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(TINY)
    config = GRPOConfig(output_dir=folder, report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, num_generations=GROUP,
                        per_device_train_batch_size=GROUP * len(PROMPTS), max_completion_length=LONGEST, num_iterations=STEPS, **settings)
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": it}]} for it in PROMPTS])
    given = [it for group in rewards for it in group]
    peft = LoraConfig(r=2, lora_alpha=4, target_modules=["down_proj"], task_type="CAUSAL_LM") if lora else None
    trainer = GRPOTrainer(model=model, reward_funcs=lambda completions, **_: given, args=config, train_dataset=rows, processing_class=tokenizer,
                          peft_config=peft)
    ids = [tokenizer.encode(text, add_special_tokens=False) + ([END] if ended else []) for group in ANSWERS for text, ended in group]
    trainer._generate_single_turn = lambda *_: (ids, None)
    trainer.current_gradient_accumulation_steps = 1
    model = trainer.model.train()
    parameters = {it.removeprefix("base_model.model.").replace(".default.weight", ""): x for it, x in model.named_parameters()}
    optimizer = torch.optim.AdamW([it for it in model.parameters() if it.requires_grad], lr=LR, weight_decay=0.01)
    for factor in FACTORS[1::2] if lora else []:
        torch.nn.init.normal_(parameters[factor], std=20.0)  # so that the base is another model from the first update on
    batch = trainer._generate_and_score_completions([row for row in rows for _ in range(GROUP)])
    shown = FACTORS if lora else SHOWN
    before = {it: parameters[it].detach().flatten().tolist() for it in FACTORS} if lora else {}
    losses, clipped, gradient = [], [], None
    for _ in range(1 if lora else STEPS):
        optimizer.zero_grad()
        loss = trainer._compute_loss(model, batch)
        loss.backward()
        losses.append(loss.item())
        clipped.append(trainer._metrics["train"]["clip_ratio/region_mean"][-1])
        gradient = gradient or {it: [round(x, 7) for x in parameters[it].grad.flatten().tolist()] for it in shown[:2]}
        optimizer.step()
    print(name, losses, clipped)
    if lora:
        gradient = exact(model.double().eval(), parameters, tokenizer, ids, batch["advantages"].tolist(), settings["beta"], before)
    after = {} if lora else {it: [round(x, 7) for x in parameters[it].detach().flatten().tolist()] for it in shown}
    return {"name": name, "settings": settings, "rewards": rewards, "answers": ids, "advantages": batch["advantages"].tolist(), "losses": losses,
            "clipped": clipped, "before": before, "gradient": gradient, "after": after}


def exact(model, parameters, tokenizer, answers, advantages, beta, before):
    """The first gradients of the factors, of the loss type `grpo`."""
    for name, values in before.items():
        parameters[name].data = torch.tensor(values, dtype=torch.float64).view_as(parameters[name])
        parameters[name].grad = None
    for nth, (answer, advantage) in enumerate(zip(answers, advantages)):
        asked = [{"role": "user", "content": PROMPTS[nth // GROUP]}]
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]

        def likelihoods():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
            return torch.log_softmax(logits, -1).gather(1, torch.tensor(answer)[:, None])[:, 0]

        now = likelihoods()
        with torch.no_grad(), model.disable_adapter():
            base = likelihoods()
        divergence = torch.exp(base - now) - (base - now) - 1
        loss = -torch.exp(now - now.detach()) * advantage + beta * divergence
        (loss.mean() / len(answers)).backward()
    return {it: [round(x, 7) for x in parameters[it].grad.flatten().tolist()] for it in before}


def main():
    logging.disable(logging.WARNING)
    folder = sys.argv[1]
    loss = lambda it, **more: {"loss_type": it, "epsilon": 0.1, **more}
    cases = [
        case("grpo", folder, REWARDS, loss("grpo", temperature=0.7)),
        case("bnpo", folder, REWARDS, loss("bnpo", scale_rewards="none")),
        case("dr_grpo", folder, REWARDS, loss("dr_grpo", scale_rewards="none")),
        case("dapo", folder, REWARDS, loss("dapo", epsilon_high=0.3, scale_rewards="batch")),
        case("alike", folder, ALIKE, loss("dapo")),
        case("kl", folder, REWARDS, loss("grpo", beta=0.5), lora=True),
    ]
    out = {"lr": LR, "prompts": PROMPTS, "group": GROUP, "longest": LONGEST, "cases": cases}
    (HERE / "grpo.json").write_text(json.dumps(out, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
