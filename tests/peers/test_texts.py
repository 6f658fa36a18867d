"""What finetuned leaves, seen by those who did not write it: transformers, scikit-learn, TensorBoard and
huggingface_hub. The real binary trains one epoch on real tweets, once for each family of models.

Started by `make test-peers`, which builds the binary, fetches the assets and installs the peers.
"""
import csv, json, os, random, re
from pathlib import Path
from types import SimpleNamespace

import numpy, pytest, torch
from huggingface_hub import ModelCard
from sklearn import metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

import tiny_models
from runner import ROOT, finetuned

ASSETS = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets"))
ROWS = 400
MAX_TOKENS = 64
# Texts that tokenizers stumble over: other scripts, emoji, accents, controls, mark-up, and one that is cut.
HARD = [
    "naïve Café façade — “quotes” … €5", "这部电影很好看", "Очень плохо!!!", "🙂👍🏽 👩‍👩‍👧", "tab\there  double  spaces", "a\u0301 e\u0301 combining",
    "<b>bold</b> &amp; http://t.co/xyz @user #tag", "zero\u200bwidth \u00adsoft", "ＦＵＬＬｗｉｄｔｈ", " ".join(["word"] * 200), "!",
]
LITERAL = "[MASK] [SEP] <s> </s> <mask>"
# Their vocabularies have control tokens as words, so that transformers reads them in a text whatever it is told.
UNIGRAM = ("xlm_roberta", "deberta")
FAMILIES = {
    "minilm": "BertForSequenceClassification", "roberta": "RobertaForSequenceClassification", "distilbert": "DistilBertForSequenceClassification",
    "xlm_roberta": "XLMRobertaForSequenceClassification", "electra": "ElectraForSequenceClassification",
    "modernbert": "ModernBertForSequenceClassification", "mpnet": "MPNetForSequenceClassification", "deberta": "DebertaV2ForSequenceClassification",
}


def tweets():
    """(text, label), each text once. Read as Latin-1, so that every byte is a letter of some kind."""
    [source] = (ASSETS / "data/tweets").glob("*.csv")
    with open(source, encoding="latin-1", newline="") as file:
        rows = {row["text"].strip(): row["sentiment"] for row in csv.DictReader(file)}
    return random.Random(0).sample(sorted(it for it in rows.items() if it[0]), ROWS)


@pytest.fixture(scope="session")
def data():
    return tweets() + [(text, "neutral") for text in HARD]


@pytest.fixture(scope="session", params=FAMILIES)
def run(request, data, tmp_path_factory):
    """A finished run of one family, with its model opened by transformers."""
    home = tmp_path_factory.mktemp(request.param)
    base = ASSETS / "models/minilm"
    if request.param != "minilm":
        base = home / "base"
        getattr(tiny_models, request.param)(base, [text for text, _ in data])
    with open(home / "tweets.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *data])
    recipe = f"model.base = {json.dumps(str(base))}\ndata.test = 0.25\ndata.max_tokens = {MAX_TOKENS}\ntrain.epochs = 1\ntrain.batch = 16\ntrain.precision = \"fp32\"\n"
    (home / "recipe.toml").write_text(recipe)
    out = finetuned(home, "run", home / "tweets.csv", "--recipe", home / "recipe.toml", "--out", home / "run", "--json")
    done = json.loads(out.splitlines()[-1])
    model, report = AutoModelForSequenceClassification.from_pretrained(home / "run/model", output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(home / "run/model")
    return SimpleNamespace(family=request.param, home=home, folder=home / "run", base=base, done=done, model=model.eval(), report=report, tokenizer=tokenizer)


def read(run, name):
    return json.loads((run.folder / name).read_text())


def log_probabilities(run, texts):
    """As transformers has them, (texts, classes), one text at a time: no padding, no doubt."""
    rows = []
    with torch.no_grad():
        for text in texts:
            tokens = run.tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
            rows.append(run.model(**tokens).logits.double().log_softmax(-1)[0].numpy())
    return numpy.array(rows)


def predictions(run):
    with open(run.folder / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def classes(run):
    return read(run, "plan.json")["data"]["classes"]


def test_the_model_opens_as_transformers_own(run):
    assert type(run.model).__name__ == FAMILIES[run.family]
    assert not any(run.report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")), run.report
    assert run.model.dtype == torch.float32
    assert sorted(classes(run)) == ["negative", "neutral", "positive"]
    assert run.model.config.id2label == dict(enumerate(classes(run)))
    assert run.model.config.label2id == {name: i for i, name in enumerate(classes(run))}
    assert run.model.config.problem_type in (None, "single_label_classification")


def test_the_tokenizer_is_the_base_models(run, data):
    base = AutoTokenizer.from_pretrained(run.base)
    for text, _ in data:
        assert run.tokenizer(text)["input_ids"] == base(text)["input_ids"], text


def test_what_looks_like_a_control_token_is_text(run):
    if run.family in UNIGRAM:
        pytest.skip("transformers reads control tokens here")
    assert not set(run.tokenizer(LITERAL)["input_ids"][1:-1]) & set(run.tokenizer.all_special_ids)
    [line] = finetuned(run.home, "predict", run.folder, "--json", "--", LITERAL).splitlines()
    found = numpy.log([json.loads(line)["probabilities"][name] for name in classes(run)])
    assert numpy.abs(found - log_probabilities(run, [LITERAL])[0]).max() < 1e-4


def test_tokens_are_counted_as_transformers_counts_them(run, data):
    report = read(run, "data.json")
    assert sum(split["rows"] for split in report["splits"]) == len(data) and report["quarantined"]["count"] == 0
    lengths = numpy.array([len(run.tokenizer(text)["input_ids"]) for text, _ in data])
    tokens = report["tokens"]
    assert tokens["longest"] == lengths.max() and tokens["cut"] == (MAX_TOKENS < lengths).sum() > 0
    assert tokens["mean"] == pytest.approx(lengths.mean(), abs=1e-9)


def test_logits_agree_with_predict(run, data):
    texts = HARD + [text for text, _ in data[:40]]
    answers = [json.loads(line) for line in finetuned(run.home, "predict", run.folder, "--json", "--", *texts).splitlines()]
    assert [it["text"] for it in answers] == texts
    wanted = log_probabilities(run, texts)
    found = numpy.log([[it["probabilities"][name] for name in classes(run)] for it in answers])
    # A softmax forgets one constant for each text; with it taken out, these are the logits.
    assert numpy.abs(found - wanted).max() < 1e-4
    assert [it["label"] for it in answers] == [run.model.config.id2label[i] for i in wanted.argmax(1)]


def test_a_padded_batch_says_what_each_text_says_alone(run, data):
    """The mean of MiniLM's tokens is a layer that attends to all alike: to no padding."""
    assert run.model.config.num_hidden_layers == {"minilm": 7}.get(run.family, 2)
    texts = HARD + [text for text, _ in data[:20]]
    tokens = run.tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    for attention in ("eager", "sdpa"):
        run.model.set_attn_implementation(attention)
        with torch.no_grad():
            found = run.model(**tokens).logits.double().log_softmax(-1).numpy()
        assert numpy.abs(found - log_probabilities(run, texts)).max() < 1e-4, attention


def test_a_linear_probe_is_a_baseline(run):
    probe = run.done["probe"]
    assert probe["c"] > 0 and set(probe["metrics"]) >= {"accuracy", "macro_f1", "loss"}


def test_logits_agree_with_the_table_of_predictions(run):
    rows = predictions(run)
    # An apostrophe keeps a spreadsheet from taking a text for a formula; many tweets begin with @.
    texts = [re.sub(r"^'(?=[=+\-@\t\r])", "", row["text"]) for row in rows]
    found = numpy.log([[float(row[f"p_{name}"]) for name in classes(run)] for row in rows])
    assert len(rows) == run.done["scores"]["examples"] == round(0.25 * (ROWS + len(HARD)))
    assert numpy.abs(found - log_probabilities(run, texts)).max() < 1e-4


def test_scores_agree_with_scikit_learn(run):
    rows, scores, names = predictions(run), run.done["scores"], classes(run)
    truth, said = [row["label"] for row in rows], [row["predicted"] for row in rows]
    assert run.done["split"] == scores["split"] == "test" and len(rows) == scores["examples"] == run.done["proof"]["examples"]
    wanted = {"accuracy": metrics.accuracy_score(truth, said)}
    for average in ("macro", "micro", "weighted"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, labels=names, average=average, zero_division=0)
        wanted |= {f"{average}_precision": precision, f"{average}_recall": recall, f"{average}_f1": f1}
    assert {name: scores["metrics"][name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert scores["confusion"] == metrics.confusion_matrix(truth, said, labels=names).tolist()
    loss = metrics.log_loss(truth, [[float(row[f"p_{name}"]) for name in sorted(names)] for row in rows], labels=sorted(names))
    # scikit-learn takes no probability for less than a double's rounding, as those of a tiny model that is sure and wrong may be.
    if all(numpy.finfo(float).eps < float(row[f"p_{row['label']}"]) for row in rows):
        assert scores["loss"] == pytest.approx(loss, abs=1e-5)
    else:
        assert loss < scores["loss"]


def test_a_pipeline_needs_nothing_but_the_folder(run, data):
    classify = pipeline("text-classification", model=str(run.folder / "model"))
    text = data[0][0]
    [answer] = classify(text)
    best = log_probabilities(run, [text])[0]
    assert answer["label"] == classes(run)[best.argmax()] and answer["score"] == pytest.approx(numpy.exp(best.max()), abs=1e-4)


def test_tensorboard_reads_the_curves(run):
    board = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    lines = [json.loads(line)["event"] for line in (run.folder / "events.jsonl").read_text().splitlines()]
    steps = {it["step"]: it for it in lines if it["kind"] == "step"}
    # Where steps are quick, not each of them is told.
    assert steps and max(steps) <= run.done["steps"]
    for tag, key in (("train/loss", "loss"), ("train/lr", "lr")):
        curve = board.Scalars(tag)
        assert [it.step for it in curve] == sorted(steps)
        assert [it.value for it in curve] == pytest.approx([steps[it.step][key] for it in curve], rel=1e-6)
    evaluations = [it for it in lines if it["kind"] == "evaluation" and it["scores"]["split"] == "validation"]
    curve = board.Scalars("validation/accuracy")
    assert {it.step: it.value for it in curve} == pytest.approx({it["step"]: it["scores"]["metrics"]["accuracy"] for it in evaluations}, rel=1e-6)


def test_the_hub_reads_the_model_card(run):
    card = ModelCard.load(run.folder / "model/README.md")
    assert card.data.library_name == "transformers" and card.data.pipeline_tag == "text-classification"
    results = {(it.metric_type, it.metric_name): it.metric_value for it in card.data.eval_results}
    assert {it.dataset_split for it in card.data.eval_results} == {"test"}
    assert results["accuracy", "accuracy"] == pytest.approx(run.done["scores"]["metrics"]["accuracy"])
    assert run.done["scores"]["metrics"]["macro_f1"] == pytest.approx(results["f1", "macro F1"])
    assert str(run.home) not in card.content, "a card may be published, so it names no path of this machine"
