"""Losses and their gradients as torch has them, for the tests of objective.rs: `make_objective.py > objective.json`.

Made with torch 2.13.0 and scikit-learn 1.9.1 (class weights). Each loss is the mean over the whole batch.
"""
import json

import numpy, torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

torch.manual_seed(0)
EXAMPLES, OUTPUTS = 10, 3
labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
sets = torch.randint(0, 2, (EXAMPLES, OUTPUTS)).float()
numbers = torch.randn(EXAMPLES, OUTPUTS)
weights = torch.tensor(compute_class_weight("balanced", classes=numpy.arange(OUTPUTS), y=labels.numpy())).float()
# As the documentation of BCEWithLogitsLoss recommends it.
pos_weights = (EXAMPLES - sets.sum(0)) / sets.sum(0)


def case(problem, smoothing, weighted, loss):
    logits = torch.randn(EXAMPLES, OUTPUTS, generator=torch.Generator().manual_seed(1)).requires_grad_()
    value = loss(logits)
    value.backward()
    return {"problem": problem, "label_smoothing": smoothing, "weighted": weighted, "outputs": logits.flatten().tolist(), "loss": value.item(),
            "gradient": logits.grad.flatten().tolist()}


smoothed = lambda it, by: it * (1 - by) + by / 2
cases = [case("single_label_classification", s, w is not None, lambda it, s=s, w=w: cross_entropy(it, labels, w, label_smoothing=s)) for s in (0.0, 0.1) for w in (None, weights)]
cases += [case("multi_label_classification", s, w is not None, lambda it, s=s, w=w: binary_cross_entropy_with_logits(it, smoothed(sets, s), pos_weight=w)) for s in (0.0, 0.1) for w in (None, pos_weights)]
cases += [case("regression", 0.0, False, lambda it: mse_loss(it, numbers))]
print(json.dumps({"labels": labels.tolist(), "sets": sets.flatten().tolist(), "numbers": numbers.flatten().tolist(), "class_weights": weights.tolist(),
                  "pos_weights": pos_weights.tolist(), "cases": cases}))
