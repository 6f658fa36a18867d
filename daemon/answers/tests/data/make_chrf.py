"""Makes chrf.json, which the tests of finetuned-answers compare with.

Run where sacrebleu 2.6.0 is installed: python daemon/answers/tests/data/make_chrf.py
"""

import json
import pathlib

import sacrebleu

CASES = [
    (["the cat sat on the mat"], ["the cat sat on the mat"]),
    (["the cat sat on a mat"], ["a cat is on the mat"]),
    (["", "good"], ["nothing was said", "good"]),
    (["words without a reference", "one"], ["", "one two"]),
    (["Der Bär frißt  Äpfel.", "你好,世界", "ab"], ["Die Bären fressen Äpfel.", "世界,你好!", "abcdefgh"]),
    (["xyz"], ["abc"]),
]

cases = []
for found, wanted in CASES:
    score = sacrebleu.corpus_chrf(found, [wanted]).score
    cases.append({"found": found, "wanted": wanted, "chrf": score})
path = pathlib.Path(__file__).with_name("chrf.json")
path.write_text(json.dumps({"sacrebleu": sacrebleu.__version__, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
