"""Makes probe.json: linear maps that scikit-learn, or torch with `pos_weight`, fits to random features.

    python make_probe.py

Made with scikit-learn 1.9.1, torch 2.13.0, numpy.
"""

import json
import pathlib

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

draw = np.random.RandomState(0)
ROWS, WIDTH, CLASSES = 60, 6, 4
features = draw.randn(ROWS, WIDTH).round(4)
classes = (features[:, :CLASSES] + draw.randn(ROWS, CLASSES)).argmax(1)
sets = (features[:, :3] + 0.5 * draw.randn(ROWS, 3) > 0.3).astype(float)
numbers = (features @ draw.randn(WIDTH, 2) + 3 + draw.randn(ROWS, 2)).round(4)
balanced = (ROWS / (CLASSES * np.bincount(classes)))[classes]
cases = []


def case(name, c, targets, weight, bias, weights=np.ones(ROWS), positive=None):
    positive = np.ones(targets.shape[1]) if positive is None else positive
    flat = {"targets": targets, "weights": weights, "positive": positive, "weight": weight, "bias": bias}
    cases.append({"name": name, "c": c} | {key: np.asarray(it).ravel().tolist() for key, it in flat.items()})


def logistic(c):
    return LogisticRegression(C=c, tol=1e-10, max_iter=10_000)


def torch_with_pos_weight(c, targets, positive):
    """The sum of torch's losses times `c`, and half the squares of the weights, as scikit-learn has it."""
    xs, ys = torch.tensor(features), torch.tensor(targets)
    weight = torch.zeros(ys.shape[1], WIDTH, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(ys.shape[1], dtype=torch.float64, requires_grad=True)
    loss = torch.nn.BCEWithLogitsLoss(reduction="sum", pos_weight=torch.tensor(positive))
    options = {"max_iter": 5000, "tolerance_grad": 1e-10, "tolerance_change": 1e-14, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([weight, bias], **options)

    def closure():
        optimizer.zero_grad()
        found = c * loss(xs @ weight.T + bias, ys) + weight.square().sum() / 2
        found.backward()
        return found

    optimizer.step(closure)
    return weight.detach().numpy(), bias.detach().numpy()


for name, c, weights in [("softmax", 1.0, np.ones(ROWS)), ("softmax weak", 30.0, np.ones(ROWS)), ("softmax balanced", 0.3, balanced)]:
    found = logistic(c).fit(features, classes, sample_weight=weights)
    case(name, c, np.eye(CLASSES)[classes], found.coef_, found.intercept_, weights)
each = [logistic(3.0).fit(features, column) for column in sets.T]
case("sigmoid", 3.0, sets, [it.coef_ for it in each], [it.intercept_ for it in each])
positive = ((1 - sets).sum(0) / sets.sum(0)).round(4)
case("sigmoid pos_weight", 3.0, sets, *torch_with_pos_weight(3.0, sets, positive), positive=positive)
found = Ridge(alpha=0.5, solver="cholesky").fit(features, numbers)
case("identity", 2.0, numbers, found.coef_, found.intercept_)
text = json.dumps({"width": WIDTH, "features": features.ravel().tolist(), "cases": cases})
(pathlib.Path(__file__).parent / "probe.json").write_text(text + "\n")
