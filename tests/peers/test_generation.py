"""Models that go on with texts and that answer, as transformers opens them: on held-out data they score what the report says,
and they say what `finetuned predict` says.
"""

import json, math, random

import pytest, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runner import ROOT, finetuned

TINY_LLAMA = ROOT / "tests/data/tiny-llama"
HARD = ["naïve Café — “quotes” … €5", "这部电影很好看", "🙂👍🏽", " two  blanks \n and a line", "a"]
ENDS = [2]


def drawn(draw):
    words = ["this", draw.choice(["movie", "day", "place"]), "is", draw.choice(["good", "bad", "warm"]), draw.choice(["really", "so"])]
    return " ".join(words) + f" {draw.randrange(1000)}"


def train(home, rows, recipe):
    """`rows`: of each split. What done.json says, and the model as transformers opens it."""
    (home / "drop").mkdir()
    for split, lines in rows.items():
        (home / f"drop/{split}.jsonl").write_text("".join(json.dumps(it) + "\n" for it in lines), encoding="utf-8")
    settings = f"model.base = {json.dumps(str(TINY_LLAMA))}\ntrain.epochs = 4\ntrain.batch = 16\ntrain.lr = 3e-3\n"
    (home / "recipe.toml").write_text(settings + recipe)
    out = finetuned(home, "run", home / "drop", "--recipe", home / "recipe.toml", "--out", home / "run", "--json")
    model, report = AutoModelForCausalLM.from_pretrained(home / "run/model", output_loading_info=True)
    assert not any(report[it] for it in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return json.loads(out.splitlines()[-1]), model.eval(), AutoTokenizer.from_pretrained(home / "run/model")


def scored(model, examples):
    """Perplexity and accuracy over the tokens that are learnt of `examples`: (ids, first learnt place)."""
    loss, right, count = 0.0, 0, 0
    for ids, first in examples:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, first - 1 : -1].double()
        targets = torch.tensor(ids[first:])
        loss += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        right += (logits.argmax(-1) == targets).sum().item()
        count += len(targets)
    return math.exp(loss / count), right / count


def agrees(done, theirs):
    ours = done["scores"]["metrics"]
    assert ours["perplexity"] == pytest.approx(theirs[0], rel=1e-4)
    assert ours["token_accuracy"] == pytest.approx(theirs[1], abs=2e-3)
    assert ours["perplexity"] < 0.5 * done["baseline"]["metrics"]["perplexity"]


def says(home, model, tokenizer, questions, prompt):
    """`prompt`: text of a question -> ids."""
    lines = finetuned(home, "predict", home / "run", "--json", "--max-new-tokens", "24", "--", *questions).splitlines()
    for question, line in zip(questions, lines, strict=True):
        ids = prompt(question)
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0][len(ids) :].tolist()
        out = out[: out.index(2)] if 2 in out else out
        assert json.loads(line)["generated_text"] == tokenizer.decode(out, skip_special_tokens=True), question


def test_texts_are_scored_and_gone_on_with(tmp_path):
    draw = random.Random(0)
    texts = list(dict.fromkeys(drawn(draw) for _ in range(400))) + HARD
    test = texts[:60] + HARD
    rows = {"train": [{"text": it} for it in texts[60:-5]], "test": [{"text": it} for it in test]}
    done, model, tokenizer = train(tmp_path, rows, "task = 'causal-language-modeling'\ndata.validation = 0.2\n")
    ids = [tokenizer(it.strip(), add_special_tokens=False)["input_ids"] + ENDS for it in test]
    agrees(done, scored(model, [(it, 1) for it in ids]))
    says(tmp_path, model, tokenizer, ["this day is", "naïve", "a"], lambda it: tokenizer(it)["input_ids"])


def test_conversations_are_scored_and_answered(tmp_path):
    draw = random.Random(0)

    def conversation(question):
        answer = "good" if "good" in question or "warm" in question else "bad, 这"
        return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    questions = list(dict.fromkeys(drawn(draw) for _ in range(400)))
    rows = {"train": questions[60:], "test": questions[:60] + HARD}
    test = [conversation(it) for it in rows["test"]]
    rows = {split: [{"messages": conversation(it)} for it in all] for split, all in rows.items()}
    done, model, tokenizer = train(tmp_path, rows, "data.validation = 0.2\n")
    assert done["task"] == "text-generation"

    def prompt(messages):
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]

    examples = [(tokenizer.apply_chat_template(it)["input_ids"], len(prompt(it[:-1]))) for it in test]
    agrees(done, scored(model, examples))
    asked = ["this day is good so 7", "这 warm", HARD[2]]
    says(tmp_path, model, tokenizer, asked, lambda it: prompt([{"role": "user", "content": it}]))
