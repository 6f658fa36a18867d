"""Makes optimizers.safetensors: ten updates by torch's own (unfused) optimizers.

Made with torch 2.13.0 and safetensors 0.8; run: python make_fixtures.py
"""
from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS, LR, CLIP, LATE = 10, 0.05, 1.5, 4
SHAPES = {"embed": (7, 5), "weight": (4, 5), "bias": (4,), "unused": (3,), "late": (2, 3, 2)}
#        name:   (factor on lr, weight decay)
GROUPS = {"embed": (1.0, 0.1), "weight": (1.0, 0.1), "bias": (0.5, 0.0), "unused": (0.5, 0.0), "late": (0.25, 0.1)}
OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, foreach=False),
    "adam": lambda groups: torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-6, foreach=False),
    "sgd": lambda groups: torch.optim.SGD(groups, foreach=False),
    "momentum": lambda groups: torch.optim.SGD(groups, momentum=0.9, foreach=False),
    "nesterov": lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True, foreach=False),
}


def trains(name, step):
    """`late` joins at step LATE, `unused` has a gradient at odd steps only."""
    return LATE <= step if name == "late" else step % 2 == 1 if name == "unused" else True


def run(make, start, grads):
    params = {name: value.clone().requires_grad_() for name, value in start.items()}
    group = lambda name: {"params": [params[name]], "scale": GROUPS[name][0], "weight_decay": GROUPS[name][1]}
    optimizer = make([group(name) for name in SHAPES if name != "late"])
    norms, seen = [], {}
    for step in range(STEPS):
        if step == LATE:
            optimizer.add_param_group(group("late"))
        for it in optimizer.param_groups:
            it["lr"] = LR * (1 - step / STEPS) * it["scale"]
        for name, param in params.items():
            param.grad = grads[step, name].clone() if trains(name, step) else None
        norms.append(torch.nn.utils.clip_grad_norm_(params.values(), CLIP))
        optimizer.step()
        seen |= {f"{step + 1}.{name}": param.detach().clone() for name, param in params.items()}
    return seen, torch.stack(norms)


def main():
    torch.manual_seed(0)
    start = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    # Small in some steps, so that both sides of the clipping happen.
    grads = {(step, name): torch.randn(shape) * (0.1 if step % 3 == 0 else 1) for step in range(STEPS) for name, shape in SHAPES.items()}
    out = {f"start.{name}": value for name, value in start.items()}
    out |= {f"grad.{step}.{name}": value for (step, name), value in grads.items()}
    for name, make in OPTIMIZERS.items():
        seen, norms = run(make, start, grads)
        out |= {f"{name}.{key}": value for key, value in seen.items()} | {f"{name}.norms": norms}
    save_file(out, Path(__file__).with_name("optimizers.safetensors"), {"torch": torch.__version__})


main()
