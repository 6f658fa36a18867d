#!/usr/bin/env python3
"""Make the scores that our own are held against: entities.json, correlations.json,
multilabel.json and precision.json.

Made with seqeval 1.2.2, scikit-learn 1.9.1, scipy 1.17.1 and numpy 2.4.6, the environment of
tests/peers; seed 0.
Numbers that a library leaves undefined (NaN) stand as null.
"""

import json, math, random, warnings
from pathlib import Path

import numpy, scipy.stats
from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities
from sklearn import metrics

HERE = Path(__file__).parent
TYPES = ["LOC", "ORG", "PER", "geo-loc"]
SCHEMES = {"iob2": IOB2, "iobes": IOBES}
# Sequences that people's files have, beside what is drawn: targets, predictions.
ODD = {
    "an entity that begins with I": (
        [["O", "I-PER", "I-PER", "O"]],
        [["O", "B-PER", "I-PER", "O"]],
    ),
    "the type changes inside": ([["B-PER", "I-LOC", "I-LOC"]], [["B-PER", "B-LOC", "I-LOC"]]),
    "adjacent entities": ([["B-PER", "B-PER", "I-PER"]], [["B-PER", "I-PER", "I-PER"]]),
    "no entity anywhere": ([["O", "O"]], [["O", "O"]]),
    "none in the targets": ([["O", "O"]], [["B-PER", "O"]]),
    "none in the predictions": ([["B-PER", "O"]], [["O", "O"]]),
    "an empty sentence": ([["B-PER"], [], ["O", "B-LOC"]], [["B-PER"], [], ["O", "O"]]),
    "a type of the predictions alone": ([["B-PER", "O", "B-LOC"]], [["B-PER", "O", "B-ORG"]]),
    "an entity to the end of a sentence": (
        [["O", "B-PER"], ["I-PER", "O"]],
        [["O", "B-PER"], ["I-PER", "O"]],
    ),
    "a type with a hyphen": ([["B-geo-loc", "I-geo-loc", "O"]], [["B-geo-loc", "I-geo-loc", "O"]]),
    "without a type": ([["B", "I", "O", "B"]], [["B", "I", "O", "O"]]),
    "only I": (
        [["I-PER", "I-PER", "O", "I-LOC", "I-PER"]],
        [["I-PER", "O", "O", "I-LOC", "I-LOC"]],
    ),
    "ends and singles": (
        [["S-PER", "O", "B-LOC", "I-LOC", "E-LOC"]],
        [["S-PER", "S-PER", "B-LOC", "E-LOC", "O"]],
    ),
    "an end without a beginning": (
        [["O", "E-LOC", "I-PER", "E-PER"]],
        [["B-LOC", "E-LOC", "B-PER", "E-PER"]],
    ),
}


def plain(value):
    """For JSON: numpy's numbers as Python's, NaN as null."""
    if isinstance(value, dict):
        return {str(key): plain(it) for key, it in value.items()}
    if isinstance(value, (list, tuple, numpy.ndarray)):
        return [plain(it) for it in value]
    if isinstance(value, (numpy.floating, float)):
        return None if math.isnan(value) else float(value)
    return int(value) if isinstance(value, numpy.integer) else value


def report(targets, predictions, **options):
    """Precision, recall, F1 and support of each type and of the three averages."""
    found = classification_report(
        targets, predictions, output_dict=True, zero_division=0, digits=17, **options
    )
    names = {"f1-score": "f1"}
    return {
        row: {names.get(key, key): it for key, it in scores.items()}
        for row, scores in found.items()
    }


def strict(targets, predictions, scheme):
    kind = SCHEMES[scheme]
    found = {"scheme": scheme, "report": report(targets, predictions, mode="strict", scheme=kind)}
    for name, sequences in (("targets", targets), ("predictions", predictions)):
        lists = Entities(sequences, kind, False).entities
        # (type, first word, first word after it)
        found[name] = [[it.to_tuple()[1:] for it in entities] for entities in lists]
    return found


def entity_case(name, targets, predictions, scheme):
    words = sum(map(len, targets))
    default = {
        "report": report(targets, predictions),
        "accuracy": accuracy_score(targets, predictions) if words else None,
    }
    for key, sequences in (("targets", targets), ("predictions", predictions)):
        # (type, first word, last word)
        default[key] = [get_entities(tags) for tags in sequences]
    case = {
        "name": name,
        "targets": targets,
        "predictions": predictions,
        "default": default,
        "strict": None,
    }
    if scheme:
        case["strict"] = strict(targets, predictions, scheme)
    return case


def clean(draw, words, scheme):
    """Tags of some entities, in BIO or BIOES without a mistake."""
    tags = []
    while len(tags) < words:
        if draw.random() < 0.5:
            tags.append("O")
            continue
        kind, length = draw.choice(TYPES), min(draw.choice([1, 1, 2, 3]), words - len(tags))
        parts = ["B"] + ["I"] * (length - 1)
        if scheme == "iobes":
            parts = ["S"] if length == 1 else parts[:-1] + ["E"]
        tags += [f"{part}-{kind}" for part in parts]
    return tags


def disturbed(draw, tags, scheme, share):
    letters = "BI" if scheme == "iob2" else "BIES"
    other = lambda: draw.choice(["O"] + [f"{part}-{kind}" for part in letters for kind in TYPES])
    return [other() if draw.random() < share else tag for tag in tags]


def entities(draw):
    cases = []
    for name, (targets, predictions) in ODD.items():
        bioes = any(tag[0] in "ES" for tags in targets for tag in tags)
        cases.append(entity_case(name, targets, predictions, "iobes" if bioes else "iob2"))
    for n in range(12):
        scheme = ["iob2", "iobes"][n % 2]
        targets = [clean(draw, draw.randrange(13), scheme) for _ in range(8)] + [["O"]]
        # Some targets have mistakes of their own.
        targets = [disturbed(draw, tags, scheme, [0, 0, 0.1][n % 3]) for tags in targets]
        predictions = [disturbed(draw, tags, scheme, 0.3) for tags in targets]
        cases.append(entity_case(f"drawn {n}, {scheme}", targets, predictions, scheme))
    for n in range(3):
        targets = [
            ["O" if tag == "O" else f"I-{tag[2:]}" for tag in clean(draw, 10, "iob2")]
            for _ in range(5)
        ]
        predictions = [
            [tag if draw.random() < 0.7 else draw.choice(["O", "I-PER", "I-LOC"]) for tag in tags]
            for tags in targets
        ]
        cases.append(entity_case(f"drawn {n}, io", targets, predictions, None))
    return cases


def correlations(draw):
    normal = lambda n: [draw.gauss(0, 1) for _ in range(n)]
    grades = lambda n: [float(draw.randrange(6)) for _ in range(n)]
    a = normal(40)
    drawn = {
        "related": (a, [x + y for x, y in zip(a, normal(40))]),
        "against each other": (a, [y - 2 * x for x, y in zip(a, normal(40))]),
        "grades from 0 to 5, tied": (grades(50), grades(50)),
        "grades beside fractions": ((g := grades(50)), [x + y for x, y in zip(g, normal(50))]),
        "equal": (a, a),
        "two": ([1.0, 2.0], [5.0, 3.0]),
        "far from 0": ([1e6 + x for x in a], [1e6 + 3 * x for x in a]),
        "tied twice": ([1.0, 1.0, 2.0, 2.0, 3.0], [2.0, 2.0, 2.0, 5.0, 1.0]),
        "constant predictions": (a[:6], [0.5] * 6),
        "constant targets": ([3.0] * 6, a[:6]),
        "both constant": ([3.0] * 4, [3.0] * 4),
    }
    return [
        {
            "name": name,
            "targets": targets,
            "predictions": predictions,
            "pearson": scipy.stats.pearsonr(targets, predictions).statistic,
            "spearman": scipy.stats.spearmanr(targets, predictions).statistic,
        }
        for name, (targets, predictions) in drawn.items()
    ]


def multilabel(draw):
    """Labels as rows of 0 and 1; scores of scikit-learn with zero_division=0."""
    cases = []
    for name, labels, share, absent in (
        ("plain", 4, 0.4, ()),
        ("rare labels", 5, 0.1, ()),
        ("an absent label", 4, 0.4, (2,)),
        ("one label", 1, 0.5, ()),
    ):
        targets = [
            [int(draw.random() < share and k not in absent) for k in range(labels)]
            for _ in range(30)
        ]
        probabilities = [
            [round(min(max(0.5 * t + draw.random() * 0.6 - 0.05, 0), 1), 6) for t in row]
            for row in targets
        ]
        predictions = (numpy.array(probabilities) >= 0.5).astype(int)
        case = {
            "name": name,
            "targets": targets,
            "probabilities": probabilities,
            "subset_accuracy": metrics.accuracy_score(targets, predictions),
            "hamming_loss": metrics.hamming_loss(targets, predictions),
        }
        if labels == 1:
            columns = numpy.array(targets)[:, 0], predictions[:, 0]
            case["hamming_loss"] = metrics.hamming_loss(*columns)
            precision, recall, f1, support = metrics.precision_recall_fscore_support(
                *columns, labels=[1], average=None, zero_division=0
            )
        else:
            precision, recall, f1, support = metrics.precision_recall_fscore_support(
                targets, predictions, average=None, zero_division=0
            )
            for average in ("micro", "macro", "weighted", "samples"):
                p, r, f, _ = metrics.precision_recall_fscore_support(
                    targets, predictions, average=average, zero_division=0
                )
                case[average] = {"precision": p, "recall": r, "f1": f}
        case["labels"] = [
            dict(zip(("precision", "recall", "f1", "support"), it))
            for it in zip(precision, recall, f1, support)
        ]
        case |= average_precision(numpy.array(targets), numpy.array(probabilities))
        cases.append(case)
    return cases


def average_precision(targets, probabilities):
    """`each` is null where the column has no positive; `macro` is the mean of the others, which is
    scikit-learn's own macro average where every class is there; `scikit_learn_macro` counts an
    absent class as 0."""
    present = targets.any(axis=0)
    each = [
        metrics.average_precision_score(targets[:, k], probabilities[:, k]) if present[k] else None
        for k in range(len(present))
    ]
    return {
        "average_precision": {
            "each": each,
            "macro": metrics.average_precision_score(
                targets[:, present], probabilities[:, present], average="macro"
            ),
            "scikit_learn_macro": metrics.average_precision_score(
                targets, probabilities, average="macro"
            ),
        }
    }


def precision(draw):
    """Classes: one of several for each example."""
    cases = []
    for name, classes, examples, absent in (
        ("every class", 4, 40, ()),
        ("one absent", 5, 40, (3,)),
        ("most absent", 6, 12, (1, 2, 4)),
        ("tied", 3, 24, ()),
    ):
        targets = [
            draw.choice([k for k in range(classes) if k not in absent]) for _ in range(examples)
        ]
        logits = [
            [draw.gauss(2.0 * (k == target), 1.5) for k in range(classes)] for target in targets
        ]
        values = scipy.special.softmax(numpy.array(logits), axis=1).round(
            1 if name == "tied" else 6
        )
        hot = numpy.eye(classes, dtype=int)[targets]
        cases.append(
            {"name": name, "targets": targets, "probabilities": values}
            | average_precision(hot, values)
        )
    return cases


def main():
    warnings.simplefilter("ignore")
    for name, make in (
        ("entities", entities),
        ("correlations", correlations),
        ("multilabel", multilabel),
        ("precision", precision),
    ):
        cases = ",\n".join(
            json.dumps(plain(it), ensure_ascii=False) for it in make(random.Random(0))
        )
        (HERE / f"{name}.json").write_text(f"[\n{cases}\n]\n")


if __name__ == "__main__":
    main()
