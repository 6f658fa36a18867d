"""Makes scores.json, which the tests of finetuned-answers compare with.

Run with the peers' Python: .peers/bin/python daemon/answers/tests/data/make_scores.py
"""

import json
import pathlib
import warnings

import numpy
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk

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


def average_precisions(truth, rows):
    """Of each class; one that is never true has 0, of which scikit-learn warns."""
    with warnings.catch_warnings(action="ignore"):
        return [float(sk.average_precision_score(truth[:, it], rows[:, it])) for it in range(rows.shape[1])]


def mean_of_present(truth, rows):
    """Over the classes that are true somewhere."""
    present = truth.any(axis=0)
    # Where no label occurs there is nothing to rank: 0, as scikit-learn says of each.
    return numpy.mean(numpy.array(average_precisions(truth, rows))[present]) if present.any() else 0.0


def expected(labels, rows, classes):
    predicted = rows.argmax(axis=1)
    metrics = {"accuracy": sk.accuracy_score(labels, predicted)}
    precisions = average_precisions(numpy.eye(classes)[labels], rows)
    # What average_precision_score takes of several classes: those that are true somewhere.
    metrics["macro_average_precision"] = numpy.mean([precisions[it] for it in sorted(set(labels.tolist()))])
    if 5 < classes:
        metrics["top5_accuracy"] = sk.top_k_accuracy_score(labels, rows, k=5, labels=range(classes))
    for average in AVERAGES:
        p, r, f, _ = sk.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        metrics |= {f"{average}_precision": p, f"{average}_recall": r, f"{average}_f1": f}
    per_class = sk.precision_recall_fscore_support(labels, predicted, labels=range(classes), average=None, zero_division=0)
    return {
        "metrics": {name: float(value) for name, value in metrics.items()},
        "per_class": [[float(it) for it in row] + [ap] for *row, ap in zip(*per_class, precisions)],
        "confusion": sk.confusion_matrix(labels, predicted, labels=range(classes)).tolist(),
    }


def interval(truth, rows, statistics):
    """Percentile bootstrap over examples, with more resamples than ours so that the noise is ours."""
    found = {}
    for name, statistic in statistics.items():
        result = scipy.stats.bootstrap(
            (numpy.arange(len(truth)),),
            lambda at: statistic(truth[at], rows[at]),
            vectorized=False,
            n_resamples=4_000,
            method="percentile",
            rng=numpy.random.default_rng(0),
        )
        found[name] = [float(result.confidence_interval.low), float(result.confidence_interval.high)]
    return found


def within_classes(labels, rows, statistics, resamples=4_000):
    """Percentile bootstrap of examples drawn within each class."""
    rng = numpy.random.default_rng(0)
    strata = [numpy.flatnonzero(labels == it) for it in numpy.unique(labels)]
    drawn = {name: [] for name in statistics}
    for _ in range(resamples):
        at = numpy.concatenate([rng.choice(it, len(it)) for it in strata])
        for name, statistic in statistics.items():
            drawn[name].append(statistic(labels[at], rows[at]))
    return {name: numpy.percentile(values, [2.5, 97.5]).tolist() for name, values in drawn.items()}


ONE_LABEL = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p.argmax(axis=1)),
}
MACRO = {
    "macro_f1": lambda y, p: sk.f1_score(y, p.argmax(axis=1), average="macro", zero_division=0),
    "macro_average_precision": lambda y, p: numpy.mean([sk.average_precision_score(y == it, p[:, it]) for it in numpy.unique(y)]),
}
SETS = {
    "accuracy": lambda y, p: sk.accuracy_score(y, p >= 0.5),
    "macro_average_precision": lambda y, p: mean_of_present(y, p),
}
NUMBERS = {
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
    "loss": sk.mean_squared_error,
}


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
        "intervals": interval(labels, rows, ONE_LABEL) | within_classes(labels, rows, MACRO) if bootstrap else {},
    }


def floats(values):
    """The shortest decimals that read back as the same f32."""
    return [float(str(it)) for it in numpy.asarray(values, dtype=numpy.float32).ravel()]


def set_case(name, truth, rows, bootstrap=False):
    truth, rows = numpy.asarray(truth), numpy.asarray(rows, dtype=numpy.float32)
    said = rows >= 0.5
    precisions = average_precisions(truth, rows)
    metrics = {"accuracy": sk.accuracy_score(truth, said), "macro_average_precision": mean_of_present(truth, rows)}
    for average in AVERAGES:
        p, r, f, _ = sk.precision_recall_fscore_support(truth, said, average=average, zero_division=0)
        metrics |= {f"{average}_precision": p, f"{average}_recall": r, f"{average}_f1": f}
    per_class = sk.precision_recall_fscore_support(truth, said, average=None, zero_division=0)
    return {
        "name": name,
        "classes": truth.shape[1],
        "target": floats(truth),
        "probabilities": floats(rows),
        "metrics": {name: float(value) for name, value in metrics.items()},
        "per_class": [[float(it) for it in row] + [ap] for *row, ap in zip(*per_class, precisions)],
        "intervals": interval(truth, rows, SETS) if bootstrap else {},
    }


def number_case(name, truth, predicted, bootstrap=False):
    truth, predicted = (numpy.asarray(it, dtype=numpy.float32).astype(numpy.float64) for it in (truth, predicted))
    each = {"multioutput": "raw_values"}
    per_number = zip(
        sk.mean_absolute_error(truth, predicted, **each),
        sk.root_mean_squared_error(truth, predicted, **each),
        sk.r2_score(truth, predicted, **each),
    )
    return {
        "name": name,
        "numbers": truth.shape[1],
        "target": floats(truth),
        "predicted": floats(predicted),
        "metrics": {it: float(of(truth, predicted)) for it, of in NUMBERS.items() if it != "loss"},
        "per_number": [[float(it) for it in row] for row in per_number],
        "intervals": interval(truth, predicted, NUMBERS) if bootstrap else {},
    }


def sets():
    rng = numpy.random.default_rng(1)
    truth = (rng.random(size=(200, 4)) < [0.5, 0.2, 0.05, 0.8]).astype(int)
    rows = numpy.round(1 / (1 + numpy.exp(-rng.normal(size=truth.shape) - 2.0 * truth + 1.0)), 4)
    coarse = numpy.round(rows, 1)
    return [
        set_case("plain", truth, rows, bootstrap=True),
        set_case("ties and halves", truth, coarse),
        set_case("class never true", [[0, 1], [0, 1], [0, 0]], [[0.9, 0.8], [0.1, 0.3], [0.2, 0.7]]),
        set_case("nothing true", [[0, 0], [0, 0]], [[0.1, 0.2], [0.3, 0.4]]),
        set_case("nothing said", [[1, 0], [1, 1]], [[0.1, 0.2], [0.3, 0.4]]),
        set_case("one example", [[1, 0, 1]], [[0.9, 0.6, 0.2]]),
    ]


def regressions():
    rng = numpy.random.default_rng(2)
    truth = rng.normal(size=(200, 2)) * [1.0, 250.0] + [0.0, 5_000.0]
    predicted = truth * [0.9, 1.0] + rng.normal(size=truth.shape) * [0.3, 90.0]
    return [
        number_case("two numbers", numpy.round(truth, 4), numpy.round(predicted, 4), bootstrap=True),
        number_case("worse than the mean", [[1.0], [2.0], [3.0]], [[3.0], [2.0], [1.0]]),
        number_case("always equal", [[0.1], [0.1], [0.1]], [[0.1], [0.3], [0.1]]),
        number_case("always equal and right", [[0.1], [0.1]], [[0.1], [0.1]]),
    ]


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
        case("ties among six", [0, 1, 2, 3, 4, 5], numpy.tile(numpy.float32([0.5, 0.1, 0.1, 0.1, 0.1, 0.1]), (6, 1))),
        case("class never true", [0, 0, 1, 1], sure([0, 2, 1, 1], 3)),
        case("class never predicted", [0, 1, 2, 2], sure([0, 1, 1, 0], 3)),
        case("class neither true nor predicted", [0, 1, 1, 0], sure([0, 1, 0, 0], 4)),
        case("one class predicted", [0, 1, 2, 1], sure([1, 1, 1, 1], 3)),
        case("one class true", [2, 2, 2], sure([2, 0, 2], 3)),
        case("all wrong", [0, 1, 2], sure([1, 2, 0], 3)),
        case("one example", [1], sure([1], 2)),
        case("ties", [0, 1, 2, 1, 2, 0], ties),
    ]


versions = {"numpy": numpy.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
(HERE / "scores.json").write_text(json.dumps({"versions": versions, "cases": scores(), "sets": sets(), "numbers": regressions()}, indent=None, separators=(",", ":")) + "\n")
print(versions)
