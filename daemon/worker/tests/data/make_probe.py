"""Makes probe.json: linear maps that scikit-learn fits to random features.

    python make_probe.py

Made with scikit-learn 1.9.1, numpy.
"""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

draw = np.random.RandomState(0)
ROWS, WIDTH, CLASSES = 60, 6, 4
features = draw.randn(ROWS, WIDTH).round(4)
classes = (features[:, :CLASSES] + draw.randn(ROWS, CLASSES)).argmax(1)
sets = (features[:, :3] + 0.5 * draw.randn(ROWS, 3) > 0.3).astype(float)
numbers = (features @ draw.randn(WIDTH, 2) + 3 + draw.randn(ROWS, 2)).round(4)
balanced = (ROWS / (CLASSES * np.bincount(classes)))[classes]
cases = []


def case(name, c, targets, weight, bias, weights=np.ones(ROWS)):
    flat = {"targets": targets, "weights": weights, "weight": weight, "bias": bias}
    cases.append({"name": name, "c": c} | {key: np.asarray(it).ravel().tolist() for key, it in flat.items()})


def logistic(c):
    return LogisticRegression(C=c, tol=1e-10, max_iter=10_000)


for name, c, weights in [("softmax", 1.0, np.ones(ROWS)), ("softmax weak", 30.0, np.ones(ROWS)), ("softmax balanced", 0.3, balanced)]:
    found = logistic(c).fit(features, classes, sample_weight=weights)
    case(name, c, np.eye(CLASSES)[classes], found.coef_, found.intercept_, weights)
each = [logistic(3.0).fit(features, column) for column in sets.T]
case("sigmoid", 3.0, sets, [it.coef_ for it in each], [it.intercept_ for it in each])
found = Ridge(alpha=0.5, solver="cholesky").fit(features, numbers)
case("identity", 2.0, numbers, found.coef_, found.intercept_)
text = json.dumps({"width": WIDTH, "features": features.ravel().tolist(), "cases": cases})
(pathlib.Path(__file__).parent / "probe.json").write_text(text + "\n")
