"""Makes scores.json and reader.tfevents, which the tests of finetuned-report compare with.

Run with the peers' Python: .peers/bin/python daemon/report/tests/data/make_fixtures.py
"""

import json
import math
import pathlib

import numpy
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk
import tensorboard
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = pathlib.Path(__file__).parent
AVERAGES = ["macro", "micro", "weighted"]


def probabilities(rng, labels, classes, skill):
    """Rows that sum to about 1, of four digits to keep the file small, the true class favoured by `skill`."""
    logits = rng.normal(size=(len(labels), classes))
    logits[numpy.arange(len(labels)), labels] += skill
    rows = numpy.exp(logits)
    return numpy.round(rows / rows.sum(axis=1, keepdims=True), 4).astype(numpy.float32)


def sure(predicted, classes):
    return numpy.eye(classes, dtype=numpy.float32)[predicted]


def expected(labels, rows, classes):
    predicted = rows.argmax(axis=1)
    metrics = {"accuracy": sk.accuracy_score(labels, predicted)}
    for average in AVERAGES:
        p, r, f, _ = sk.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        metrics |= {f"{average}_precision": p, f"{average}_recall": r, f"{average}_f1": f}
    per_class = sk.precision_recall_fscore_support(labels, predicted, labels=range(classes), average=None, zero_division=0)
    return {
        "metrics": {name: float(value) for name, value in metrics.items()},
        "per_class": [[float(it) for it in row] for row in zip(*per_class)],
        "confusion": sk.confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
    }


def interval(labels, rows):
    """Percentile bootstrap of accuracy and macro F1, with more resamples than ours so that the noise is ours."""
    predicted = rows.argmax(axis=1)
    found = {}
    for name, statistic in {
        "accuracy": lambda y, p: sk.accuracy_score(y, p),
        "macro_f1": lambda y, p: sk.f1_score(y, p, average="macro", zero_division=0),
    }.items():
        result = scipy.stats.bootstrap(
            (labels, predicted), statistic, paired=True, vectorized=False, n_resamples=4_000, method="percentile", rng=numpy.random.default_rng(0)
        )
        found[name] = [float(result.confidence_interval.low), float(result.confidence_interval.high)]
    return found


def case(name, labels, rows, bootstrap=False):
    labels = numpy.asarray(labels)
    classes = rows.shape[1]
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        # The shortest decimals that read back as the same f32.
        "probabilities": [float(str(it)) for it in rows.ravel()],
        "expected": expected(labels, rows, classes),
        "intervals": interval(labels, rows) if bootstrap else {},
    }


def scores():
    rng = numpy.random.default_rng(0)
    plain = rng.integers(0, 3, size=200)
    skewed = rng.choice(4, size=300, p=[0.85, 0.1, 0.04, 0.01])
    many = rng.integers(0, 50, size=150)
    ties = numpy.full((6, 3), 1 / 3, dtype=numpy.float32)
    ties[3] = [0.4, 0.4, 0.2]
    ties[4] = [0.2, 0.4, 0.4]
    return [
        case("plain", plain, probabilities(rng, plain, 3, 1.5), bootstrap=True),
        case("skewed", skewed, probabilities(rng, skewed, 4, 2.0), bootstrap=True),
        case("fifty classes", many, probabilities(rng, many, 50, 3.0)),
        case("class never true", [0, 0, 1, 1], sure([0, 2, 1, 1], 3)),
        case("class never predicted", [0, 1, 2, 2], sure([0, 1, 1, 0], 3)),
        case("class neither true nor predicted", [0, 1, 1, 0], sure([0, 1, 0, 0], 4)),
        case("one class predicted", [0, 1, 2, 1], sure([1, 1, 1, 1], 3)),
        case("one class true", [2, 2, 2], sure([2, 0, 2], 3)),
        case("all wrong", [0, 1, 2], sure([1, 2, 0], 3)),
        case("one example", [1], sure([1], 2)),
        case("ties", [0, 1, 2, 1, 2, 0], ties),
    ]


def events():
    """The bytes of TensorBoard's own writer for a few scalars."""
    path = HERE / "reader.tfevents"
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1700000000.5, file_version="brain.Event:2").SerializeToString())
        for step, tag, value in [(1, "train/loss", 1.25), (1, "train/lr", 5e-4), (300, "validation/accuracy", 0.0), (300, "validation/loss", math.pi)]:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=1700000000.5 + step, step=step, summary=summary).SerializeToString())
        writer.flush()


versions = {"numpy": numpy.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__, "tensorboard": tensorboard.__version__}
(HERE / "scores.json").write_text(json.dumps({"versions": versions, "cases": scores()}, indent=None, separators=(",", ":")) + "\n")
events()
print(versions)
