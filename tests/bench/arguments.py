"""What both references of the benchmarks are told."""
import argparse


def reference(data, *more):
    """`data`: what lies in the folder; `more`: names of further whole numbers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True, help=f"folder with {data}")
    parser.add_argument("--out", required=True)
    parser.add_argument("--head-only", action="store_true")
    parser.add_argument("--lr", type=float, required=True)
    for name in ("epochs", "batch", "threads", "seed", *more):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()
