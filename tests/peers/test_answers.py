"""Models of texts that answer with several labels, with numbers, about pairs, about each word and behind masks, as
transformers opens them:
each is trained for two epochs on texts made here, and gives what `finetuned predict` gives.
"""

import csv, json, random
from types import SimpleNamespace

import numpy, pytest, torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

import tiny_models
from runner import ROOT, finetuned

TINY_BERT = ROOT / "tests/data/tiny-bert"
FAMILIES = ["tiny_bert", "roberta", "distilbert", "xlm_roberta", "electra", "modernbert", "mpnet", "deberta"]
EACH = 96
MAX_TOKENS = 48
HARD = [
    "naïve Café — “quotes” … €5",
    "这部电影很好看",
    "🙂👍🏽 👩‍👩‍👧",
    "good " * 90,
    "!",
]
# What DeBERTa's library takes for control tokens even where its tokenizer is told to split them: a vocabulary of Unigram has them
# as words. Ours takes them for text.
LITERAL = "[MASK] [SEP] as text"
SIGNS = {"warm": "warm", "sad": "sad", "night": "dark"}
LABELS = sorted(SIGNS)
TOLERANCE = 1e-4


def hard(family):
    return HARD if family == "deberta" else [*HARD, LITERAL]


def text(draw, labels=()):
    words = [SIGNS[label] for label in labels]
    frame = [
        "this",
        draw.choice(["movie", "day", "place"]),
        "is",
        *words,
        draw.choice(["really", "so"]),
    ]
    return " ".join(frame)


def drawn_labels(draw):
    return [label for label in LABELS if draw.random() < 0.5]


def base(family, home, texts):
    if family == "tiny_bert":
        return TINY_BERT
    getattr(tiny_models, family)(home / "base", texts)
    return home / "base"


def write(path, header, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def train(home, data, model, more="", method="full", epochs=2):
    recipe = home / "recipe.toml"
    settings = (
        f"model.base = {json.dumps(str(model))}\ndata.test = 0.25\ndata.max_tokens = {MAX_TOKENS}\n"
    )
    recipe.write_text(f"{settings}train.method = '{method}'\ntrain.epochs = {epochs}\ntrain.batch = 16\n{more}")
    out = finetuned(home, "run", data, "--recipe", recipe, "--out", home / "run", "--json")
    return json.loads(out.splitlines()[-1])


def opened(home, kind=AutoModelForSequenceClassification):
    model, report = kind.from_pretrained(home / "run/model", output_loading_info=True)
    assert not any(report[it] for it in ("missing_keys", "unexpected_keys", "mismatched_keys")), (
        report
    )
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    tokenizer = AutoTokenizer.from_pretrained(home / "run/model")
    return SimpleNamespace(model=model.eval(), names=names, tokenizer=tokenizer)


def logits(peer, *columns):
    """One example at a time, so that nothing is padded. `columns`: the texts, or both of pairs."""
    rows = []
    with torch.no_grad():
        for texts in zip(*columns):
            tokens = peer.tokenizer(
                *texts, truncation="longest_first", max_length=MAX_TOKENS, return_tensors="pt"
            )
            rows.append(peer.model(**tokens).logits[0].double().numpy())
    return numpy.array(rows)


def answers(home, *inputs):
    lines = finetuned(home, "predict", home / "run", "--json", "--", *inputs).splitlines()
    return [json.loads(line) for line in lines]


def column(found, key, names):
    return numpy.array([[it[key][name] for name in names] for it in found])


def logit(probabilities):
    return numpy.log(probabilities) - numpy.log1p(-probabilities)


@pytest.mark.parametrize("family", FAMILIES)
def test_several_labels_to_a_text(family, tmp_path):
    draw = random.Random(0)
    rows = [
        (text(draw, labels), "|".join(labels))
        for labels in (drawn_labels(draw) for _ in range(EACH))
    ]
    # A text may have none; the columns say for certain what each label is.
    table = [(it, *(int(label in labels.split("|")) for label in LABELS)) for it, labels in rows]
    data = write(tmp_path / "signs.csv", ["text", *LABELS], table)
    model = base(family, tmp_path, [it for it, _ in rows])
    train(tmp_path, data, model, "task = 'text-multi-label-classification'\n")
    peer = opened(tmp_path)
    assert peer.names == LABELS
    assert peer.model.config.problem_type == "multi_label_classification"
    texts = hard(family) + [it for it, _ in rows[:20]]
    found = column(answers(tmp_path, *texts), "probabilities", peer.names)
    assert numpy.abs(logit(found) - logits(peer, texts)).max() < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_of_a_text_in_their_own_units(family, tmp_path):
    draw = random.Random(0)
    rows = []
    for _ in range(EACH):
        labels = drawn_labels(draw)
        rows.append((text(draw, labels), 1000 + 500 * len(labels), draw.random() / 10))
    data = write(tmp_path / "prices.csv", ["text", "price", "share"], rows)
    more = "task = 'text-regression'\ndata.labels = ['price', 'share']\n"
    train(tmp_path, data, base(family, tmp_path, [it for it, *_ in rows]), more)
    peer = opened(tmp_path)
    assert peer.names == ["price", "share"] and peer.model.config.problem_type == "regression"
    texts = hard(family) + [it for it, *_ in rows[:20]]
    found = column(answers(tmp_path, *texts), "numbers", peer.names)
    assert found[:, 0].min() > 500, "a price, not what the model learns in"
    assert (numpy.abs(found - logits(peer, texts)) / [1000, 1]).max() < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("answer", ["labels", "numbers"])
def test_what_begins_with_a_probe(family, answer, tmp_path):
    draw = random.Random(0)
    rows = []
    for _ in range(EACH):
        labels = drawn_labels(draw)
        flags = [int(label in labels) for label in LABELS]
        rows.append((text(draw, labels), *flags, 1000 + 500 * len(labels)))
    data = write(tmp_path / "signs.csv", ["text", *LABELS, "price"], rows)
    task, columns, key = {
        "labels": ("text-multi-label-classification", LABELS, "probabilities"),
        "numbers": ("text-regression", ["price"], "numbers"),
    }[answer]
    more = f"task = '{task}'\ndata.labels = {json.dumps(columns)}\n"
    model = base(family, tmp_path, [it for it, *_ in rows])
    done = train(tmp_path, data, model, more, method="auto")
    assert done["probe"]["start"] is not None
    peer = opened(tmp_path)
    texts = hard(family) + [it for it, *_ in rows[:20]]
    found = column(answers(tmp_path, *texts), key, peer.names)

    def comparable(outputs):
        # A logit of a probability near 1 has no digits left, so the probabilities are compared.
        return 1 / (1 + numpy.exp(-outputs)) if answer == "labels" else outputs / 1000

    # These random bases give nearly the same features for every text, so that the probe's weights
    # are large and what single precision rounds off shows: the truth is what transformers gives in
    # double precision, and as far as its own single precision is from that, ours may be farther.
    single = comparable(logits(peer, texts))
    peer.model.double()
    wanted = comparable(logits(peer, texts))
    tolerance = TOLERANCE + numpy.abs(single - wanted).max()
    found = found if answer == "labels" else found / 1000
    assert numpy.abs(found - wanted).max() < tolerance < 3 * TOLERANCE


def pairs(draw):
    for n in range(EACH):
        # Some are too long, so that it shows how both are cut.
        repeated = 1 + 12 * (n % 5 == 0)
        first, second = drawn_labels(draw), drawn_labels(draw)
        yield text(draw, first), " ".join([text(draw, second)] * repeated), int(first == second)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("answer", ["classes", "numbers"])
def test_pairs(family, answer, tmp_path):
    rows = list(pairs(random.Random(0)))
    if answer == "classes":
        header, third = ["premise", "hypothesis", "label"], lambda same: ["other", "same"][same]
    else:
        header, third = ["sentence1", "sentence2", "score"], lambda same: 1.5 + 3.25 * same
    table = [(first, second, third(same)) for first, second, same in rows]
    model = base(family, tmp_path, [it for row in rows for it in row[:2]])
    train(tmp_path, write(tmp_path / "pairs.csv", header, table), model)
    peer = opened(tmp_path)
    asked = [(it, other) for it, other, _ in rows[:20]] + list(zip(HARD, reversed(HARD)))
    found = answers(tmp_path, write(tmp_path / "asked.csv", header[:2], asked))
    assert len(found) == len(asked)
    wanted = logits(peer, *zip(*asked))
    if answer == "numbers":
        assert peer.model.config.problem_type == "regression"
        given = column(found, "numbers", ["score"])
        assert numpy.abs(given - wanted).max() < TOLERANCE
    else:
        assert peer.names == ["other", "same"]
        given = column(found, "probabilities", peer.names)
        # A softmax forgets one constant for each pair.
        differences = numpy.log(given[:, 1] / given[:, 0]) - (wanted[:, 1] - wanted[:, 0])
        assert numpy.abs(differences).max() < TOLERANCE


PEOPLE = ["Anna Smith", "Bob", "Zoë Müller", "John"]
PLACES = ["Paris", "New York", "Zürich", "San José"]


def sentence(draw):
    """Words and their tags; the same each time for a draw."""
    words, tags = [], []
    frame = draw.choice(
        ["we love {P} in {L} .", "{P} was happy in {L} !", "this is {L} , not {L} ."]
    )
    for word in frame.split():
        if word not in ("{P}", "{L}"):
            words.append(word)
            tags.append("O")
            continue
        kind, names = ("person", PEOPLE) if word == "{P}" else ("geo-loc", PLACES)
        parts = draw.choice(names).split()
        words += parts
        tags += [f"B-{kind}"] + [f"I-{kind}"] * (len(parts) - 1)
    return words, tags


@pytest.fixture(scope="module", params=FAMILIES)
def tagged(request, tmp_path_factory):
    home, draw = tmp_path_factory.mktemp(request.param), random.Random(0)
    sentences = [sentence(draw) for _ in range(3 * EACH)]
    lines = ["\n".join(map("\t".join, zip(*it))) for it in sentences]
    data = home / "sentences.conll"
    data.write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    model = base(request.param, home, [" ".join(words) for words, _ in sentences])
    done = train(home, data, model, "train.lr = 3e-3\n", epochs=12)
    return SimpleNamespace(home=home, done=done, sentences=sentences)


def test_the_model_of_tokens_opens(tagged):
    peer = opened(tagged.home, AutoModelForTokenClassification)
    assert set(peer.names) == {"O", "B-person", "I-person", "B-geo-loc", "I-geo-loc"}
    assert peer.model.config.label2id == {name: i for i, name in enumerate(peer.names)}


def test_the_pipeline_finds_the_same_entities(tagged):
    find = pipeline(
        "token-classification",
        model=str(tagged.home / "run/model"),
        aggregation_strategy="simple",
    )
    short = [it for it in HARD if len(it) < MAX_TOKENS]
    texts = short + [" ".join(words) for words, _ in tagged.sentences[:40]]
    found = answers(tagged.home, *texts)
    assert [it["sentence"] for it in found] == texts
    some = 0
    for text, answer in zip(texts, found):
        wanted = find(text)
        some += len(wanted)
        keys = ("entity_group", "start", "end")
        given = [tuple(it[key] for key in keys) for it in answer["entities"]]
        assert given == [tuple(it[key] for key in keys) for it in wanted], text
    assert some, "no entity anywhere: nothing was compared"


def test_scores_agree_with_seqeval(tagged):
    """Over the words of the test sentences, as predictions.csv has them."""
    from seqeval import metrics

    with open(tagged.home / "run/predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    targets, predicted = ([row[key].split() for row in rows] for key in ("tags", "predicted_tags"))
    scores = tagged.done["scores"]["metrics"]
    wanted = {
        "entity_f1": metrics.f1_score(targets, predicted),
        "entity_precision": metrics.precision_score(targets, predicted),
        "entity_recall": metrics.recall_score(targets, predicted),
        "token_accuracy": metrics.accuracy_score(targets, predicted),
    }
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_language_models(family, tmp_path):
    """Opens whole in its own class, and says of masks what `fill-mask` says of them."""
    draw = random.Random(0)
    texts = [text(draw, drawn_labels(draw)) for _ in range(4 * EACH)]
    data = write(tmp_path / "texts.csv", ["text"], [[it] for it in dict.fromkeys(texts)])
    model = base(family, tmp_path, texts)
    done = train(tmp_path, data, model, "train.lr = 3e-3\ntask = 'masked-language-modeling'\n", epochs=8)
    assert done["scores"]["metrics"]["perplexity"] < done["baseline"]["metrics"]["perplexity"]
    opened(tmp_path, AutoModelForMaskedLM)
    fill = pipeline("fill-mask", model=str(tmp_path / "run/model"), top_k=5)
    mask = fill.tokenizer.mask_token
    asked = [f"this {mask} is sad really", f"{mask} day {mask} so", f"naïve — “{mask}” 这部电影"]
    for asked, answer in zip(asked, answers(tmp_path, *asked)):
        wanted = fill(asked)
        wanted = wanted if isinstance(wanted[0], list) else [wanted]
        assert len(wanted) == len(answer["masks"]) == asked.count(mask)
        for theirs, ours in zip(wanted, answer["masks"]):
            assert [it["token"] for it in ours] == [it["token"] for it in theirs]
            assert [it["score"] for it in ours] == pytest.approx([it["score"] for it in theirs], abs=TOLERANCE)
            assert [it["token_str"].strip() for it in ours] == [it["token_str"].strip() for it in theirs]
