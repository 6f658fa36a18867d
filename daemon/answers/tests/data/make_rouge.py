"""Makes rouge.json, which the tests of finetuned-answers compare with.

Run where rouge_score 0.1.2 is installed: python daemon/answers/tests/data/make_rouge.py
"""

import importlib.metadata
import json
import pathlib

from rouge_score import rouge_scorer

CASES = [
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the cat sat on a mat", "a cat is on the mat"),
    ("on the mat sat the cat", "the cat sat on the mat"),
    ("", "nothing was said"),
    ("words without a reference", ""),
    ("", ""),
    ("It's 3.5 km -- about 2 miles!", "its 3.5km, about two miles"),
    ("Der Bär frißt  Äpfel.", "Die Bären fressen Äpfel."),
    ("你好,世界", "你好,世界"),
    ("你好 world", "你好 WORLD again"),
    ("İstanbul 300\u212a _under_score_", "istanbul 300k under score"),
    ("a a a b", "a b a"),
    ("running runs ran", "run running"),
    ("xyz", "abc"),
    ("one\ntwo\n\nthree", "one two three four"),
]

scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
cases = []
for found, wanted in CASES:
    score = scorer.score(target=wanted, prediction=found)["rougeL"].fmeasure
    cases.append({"found": found, "wanted": wanted, "rougeL": score})
mean = sum(it["rougeL"] for it in cases) / len(cases)
path = pathlib.Path(__file__).with_name("rouge.json")
version = importlib.metadata.version("rouge_score")
path.write_text(json.dumps({"rouge_score": version, "mean": mean, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
