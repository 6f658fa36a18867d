"""Models that prefer answers and reward models, as transformers opens them: on held-out pairs plain PyTorch finds the accuracy and the margin
that the report says, beside the base, and the rewards that `finetuned predict` says.
"""

import json, random

import pytest, torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from runner import ROOT, finetuned

TINY_LLAMA = ROOT / "tests/data/tiny-llama"
BETA = 0.1


def pairs():
    draw, rows = random.Random(0), []
    for nth in range(300):
        word = draw.choice(["good", "bad", "warm", "cold"])
        question = f"{nth} this {draw.choice(['movie', 'day', 'place'])} is {word}, 这 🙂"
        answers = ["it is lovely and warm", "awful"] if word in ("good", "warm") else ["awful", "it is lovely and warm"]
        rows.append({"prompt": question, "chosen": answers[0], "rejected": answers[1]})
    return rows[60:], rows[:60]


def train(home, recipe):
    (home / "drop").mkdir()
    train, test = pairs()
    for split, rows in {"train": train, "test": test}.items():
        (home / f"drop/{split}.jsonl").write_text("".join(json.dumps(it) + "\n" for it in rows), encoding="utf-8")
    settings = f"model.base = {json.dumps(str(TINY_LLAMA))}\ndata.validation = 0.2\ntrain.epochs = 2\ntrain.batch = 16\ntrain.lr = 1e-3\n"
    (home / "recipe.toml").write_text(recipe + settings)
    out = finetuned(home, "run", home / "drop", "--recipe", home / "recipe.toml", "--out", home / "run", "--json")
    return json.loads(out.splitlines()[-1]), test


def talk(row, answer):
    return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[answer]}]


def agrees(done, rewards):
    """`rewards`: of chosen and rejected, of each pair."""
    ours = done["scores"]["metrics"]
    margins = torch.tensor([chosen - rejected for chosen, rejected in rewards], dtype=torch.float64)
    assert ours["accuracy"] == pytest.approx((margins > 0).double().mean().item(), abs=1e-9)
    assert ours["margin"] == pytest.approx(margins.mean().item(), abs=1e-4)


def test_preferences_are_those_of_plain_pytorch(tmp_path):
    done, test = train(tmp_path, "")
    assert done["task"] == "preference"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run/model")

    def opened(folder):
        model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        assert not any(report[it] for it in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
        return model.eval()

    def log_probability(model, messages):
        ids = tokenizer.apply_chat_template(messages)["input_ids"]
        asked = len(tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True)["input_ids"])
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, asked - 1 : -1].double()
        return logits.log_softmax(-1).gather(1, torch.tensor(ids[asked:])[:, None]).sum().item(), len(ids) - asked

    model, base = opened(tmp_path / "run/model"), opened(TINY_LLAMA)
    rewards, preferred, ratios = [], 0, 0.0
    for row in test:
        (c, n_c), (r, n_r) = (log_probability(model, talk(row, it)) for it in ("chosen", "rejected"))
        (base_c, _), (base_r, _) = (log_probability(base, talk(row, it)) for it in ("chosen", "rejected"))
        rewards.append((BETA * (c - base_c), BETA * (r - base_r)))
        ratios += (c - base_c + r - base_r) / 2 / len(test)
        preferred += base_c / n_c > base_r / n_r
    agrees(done, rewards)
    assert done["scores"]["metrics"]["log_ratio"] == pytest.approx(ratios, abs=1e-3)
    assert done["baseline"]["metrics"]["accuracy"] == pytest.approx(preferred / len(test), abs=1e-9)


def test_rewards_are_those_of_transformers(tmp_path):
    done, test = train(tmp_path, "task = 'reward-modeling'\n")
    folder = tmp_path / "run/model"
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report[it] for it in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    assert model.eval().config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def reward(messages):
        with torch.no_grad():
            return model(torch.tensor([tokenizer.apply_chat_template(messages)["input_ids"]])).logits[0, 0].item()

    agrees(done, [(reward(talk(it, "chosen")), reward(talk(it, "rejected"))) for it in test])
    talks = [talk(test[0], "chosen"), talk(test[0], "rejected")]
    lines = finetuned(tmp_path, "predict", tmp_path / "run", "--json", "--", *map(json.dumps, talks)).splitlines()
    for line, messages in zip(lines, talks, strict=True):
        assert json.loads(line)["reward"] == pytest.approx(reward(messages), abs=1e-4)
