"""How fast a language model answers, beside llama.cpp: SmolLM2-135M, the likeliest token each time, fp32 in both, two threads. Prints tokens
a second and a ratio, asserts nothing.

A job learns from a few instructions and leaves its model, `finetuned export --gguf f32` the file that llama.cpp opens. Both are asked as
whole processes for one token and for many; the difference is what the others took, so that loading counts in neither. llama-cpp-python is
no part of requirements.txt, since it is built from its source: `pip --python .peers/bin/python install llama-cpp-python` first.
"""
import argparse, json, statistics, subprocess, sys, tempfile
from pathlib import Path

from bench import ASSETS, FINETUNED, THREADS, environment, measured

PROMPT = "Write a long story about a lighthouse keeper who finds a letter in a bottle."
RECIPE = """task = "text-generation"
model.base = {base}
data.max_tokens = 256
[adapter]
[train]
epochs = 1
precision = "fp32"
"""
ANSWER = """
import json, sys
import llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_ctx=2048, n_threads={threads}, n_threads_batch={threads}, verbose=False)
said = model.create_chat_completion([{{"role": "user", "content": sys.argv[2]}}], max_tokens=int(sys.argv[3]), temperature=0.0)
print(json.dumps({{"tokens": said["usage"]["completion_tokens"], "text": said["choices"][0]["message"]["content"]}}))
"""


def prepare(tmp):
    rows = json.loads((ASSETS / "data/instructions/alpaca.json").read_text(encoding="utf-8"))[:40]
    (tmp / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp / "recipe.toml").write_text(RECIPE.format(base=json.dumps(str(ASSETS / "models/smollm2"))))
    env = environment(tmp / "home")
    for command in (["run", tmp / "train.json", "--recipe", tmp / "recipe.toml", "--out", tmp / "run"], ["export", tmp / "run", "--gguf", "f32", "--out", tmp / "model.gguf"]):
        done = subprocess.run([str(it) for it in [FINETUNED, *command]], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout)


def ours(tmp, tokens):
    command = [FINETUNED, "predict", tmp / "run", "--json", "--max-new-tokens", tokens, PROMPT]
    seconds, _, said = measured(command, tmp / "ours.log", environment(tmp / "home"))
    return seconds, said["tokens"], said["generated_text"]


def llama_cpp(tmp, tokens):
    command = [sys.executable, "-c", ANSWER.format(threads=THREADS), tmp / "model.gguf", PROMPT, tokens]
    seconds, _, said = measured(command, tmp / "llama.log", environment(tmp / "home"))
    return seconds, said["tokens"], said["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--times", type=int, default=3)
    args = parser.parse_args()
    if subprocess.run([sys.executable, "-c", "import llama_cpp"], stderr=subprocess.DEVNULL).returncode != 0:
        sys.exit("llama-cpp-python is not installed: pip --python .peers/bin/python install llama-cpp-python (it is built for some minutes)")
    with tempfile.TemporaryDirectory(prefix="finetuned-bench-") as tmp:
        tmp = Path(tmp)
        (tmp / "home").mkdir()
        (tmp / "home/config.toml").write_text(f"threads = {THREADS}\n")
        prepare(tmp)
        speeds = {"ours": [], "llama.cpp": []}
        print(f"{'':10} {'tokens':>7} {'tokens/s':>9}", flush=True)
        for _ in range(args.times):
            for name, ask in (("ours", ours), ("llama.cpp", llama_cpp)):
                few, many = ask(tmp, 1), ask(tmp, args.tokens)
                speeds[name].append((many[1] - few[1]) / (many[0] - few[0]))
                print(f"{name:10} {many[1]:7} {speeds[name][-1]:9.1f}", flush=True)
        print(f"ours is {statistics.median(speeds['ours']) / statistics.median(speeds['llama.cpp']):.2f} times as fast as llama.cpp (medians of {args.times})")
        print("same text" if ours(tmp, args.tokens)[2] == llama_cpp(tmp, args.tokens)[2] else "the texts differ")


if __name__ == "__main__":
    main()
