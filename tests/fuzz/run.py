#!/usr/bin/env python3
"""Every parser of outside bytes under libFuzzer: `run.py [--seconds 60] [--only NAME ...]`.

Each row of TARGETS is one program with one kind of input. A panic, an overflow, more than 2 GB of memory or 20 seconds for one
input of up to 64 KiB is a fault: the input is left in target/fuzz/found, and the status is 1. What was found to reach new code
stays in target/fuzz/NAME for the next time; the seeds are in corpus/ and among the fixtures of the tests.

The counters of coverage come from rustc's own pass (`sancov-module`), as cargo-fuzz asks for it; that tool wants a nightly
compiler for the rest of what it does, so it is not used.
"""
import argparse, os, re, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "fuzz"
HOST = "x86_64-unknown-linux-gnu"
COVERAGE = ("-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4", "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters", "-Cllvm-args=-sanitizer-coverage-pc-table", "-Cllvm-args=-sanitizer-coverage-trace-compares", "--cfg", "fuzzing")
DATA, IMAGES, MODELS = (ROOT / it for it in ("daemon/data/tests/data", "daemon/images/tests/data/files", "models/tests/data"))
PARALLEL, BYTES_MAX, MEMORY_MB, INPUT_SECONDS = 2, 1 << 16, 2048, 20


def drop(name, *seeds):
    return "drop", {"DROP": name}, [HERE / "corpus" / name, *seeds]


def base(folder, file):
    return "base", {"BASE": str(MODELS / folder), "FILE": file}, [MODELS / folder / file]


TARGETS = {
    "recipe": ("recipe", {}, [HERE / "corpus/recipe"]),
    "config": ("config", {}, [HERE / "corpus/config"]),
    "tokenizer": ("tokenizer", {}, [HERE / "corpus/tokenizer"]),
    "image": ("image", {}, [IMAGES, HERE / "corpus/image"]),
    "plugin": ("plugin", {}, [HERE / "corpus/plugin"]),
    **{it: drop(it) for it in ("a.csv", "a.tsv", "a.txt", "a.json", "a.jsonl", "a.conll", "a.xlsx", "a.ods", "a.zip", "a.tar", "a.tar.gz", "a.arrow")},
    "a.parquet": drop("a.parquet", *sorted(DATA.glob("*.parquet"))),
    "config.json": base("bert", "config.json"),
    "weights": base("bert", "model.safetensors"),
    "index": base("bert", "model.safetensors.index.json"),
    "vit": base("vit/hf_vit", "config.json"),
}


def build():
    flags = " ".join([*COVERAGE, f"-Clink-arg=-Wl,-rpath,{os.environ.get('LIBTORCH', ROOT / '.libtorch')}/lib"])
    env = dict(os.environ, RUSTFLAGS=flags, CARGO_TARGET_DIR=str(OUT / "build"))
    env.setdefault("LIBTORCH", str(ROOT / ".libtorch"))
    # With --target, build scripts and macros are compiled without the counters.
    subprocess.run(["cargo", "build", "--release", "--locked", "--target", HOST], cwd=HERE, env=env, check=True)


def fuzz(name, seconds):
    binary, settings, seeds = TARGETS[name]
    corpus, found = OUT / name, OUT / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    files = [it for it in seeds if it.is_file()]
    folders = [it for it in seeds if it.is_dir()]
    for file in files:
        (corpus / file.name).write_bytes(file.read_bytes())
    command = [OUT / "build" / HOST / "release" / binary, corpus, *folders, f"-max_total_time={seconds}", f"-max_len={BYTES_MAX}", f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={found}/{name}-", "-print_final_stats=1"]
    ended = subprocess.run([str(it) for it in command], env={**os.environ, **settings}, capture_output=True)
    return name, ended.returncode, ended.stderr.decode(errors="replace")


def row(name, status, log):
    number = lambda pattern: (re.findall(pattern, log) or ["?"])[-1]
    cells = name, number(r"number_of_executed_units: +(\d+)"), number(r"cov: (\d+)"), number(r"peak_rss_mb: +(\d+)"), "none" if status == 0 else "**a fault**"
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", action="append", choices=TARGETS, help="this target, several times")
    args = parser.parse_args()
    build()
    print("| target | inputs | edges | MB at most | faults |\n| --- | --- | --- | --- | --- |", flush=True)
    faults = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        for name, status, log in pool.map(lambda it: fuzz(it, args.seconds), args.only or TARGETS):
            print(row(name, status, log), flush=True)
            if status:
                faults[name] = log
    for name, log in faults.items():
        print(f"\n{name}:\n{log[-3000:]}", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
