"""Makes the Parquet files beside it: python3 make.py (made with pandas 3.1.1 and pyarrow 26.0.1; also datasets, pillow).

Written by the libraries that users write them with, because each has its own ways: dictionaries, large
strings, several row groups, class names as metadata.
"""
import io
import json
from decimal import Decimal
from pathlib import Path
import pandas, PIL.Image, pyarrow, pyarrow.parquet
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value

here = Path(__file__).parent
texts = [f"text {i}" for i in range(12)]
features = Features({"text": Value("large_string"), "label": ClassLabel(names=["no", "yes"])})
Dataset.from_dict({"text": texts, "label": [i % 2 for i in range(12)]}, features=features).to_parquet(here / "datasets.parquet")
frame = pandas.DataFrame({"review": texts, "category": pandas.Categorical(["a", "b", "c"] * 4), "stars": [1.5] * 12})
frame.to_parquet(here / "pandas.parquet")
table = pyarrow.table({"text": texts, "label": pyarrow.array([True, False] * 6)})
pyarrow.parquet.write_table(table, here / "zstd.parquet", compression="zstd", row_group_size=5, data_page_version="2.0")

# Images: as Hugging Face's Image (a structure of bytes and path), as plain binary, and with lists of labels.
def png(i):
    # Eight by eight, each another.
    image = PIL.Image.frombytes("L", (8, 8), bytes((i * 40 + x * x * (i + 1)) % 256 for x in range(64)))
    out = io.BytesIO()
    image.save(out, "png")
    return out.getvalue()


pngs = [png(i) for i in range(12)]
features = Features({"image": Image(), "label": ClassLabel(names=["cat", "dog"])})
Dataset.from_dict({"image": [{"bytes": it, "path": None} for it in pngs], "label": [i % 2 for i in range(12)]}, features=features).to_parquet(
    here / "images.parquet"
)
pandas.DataFrame({"picture": pngs, "age": [i * 1.5 for i in range(12)]}).to_parquet(here / "binary.parquet")
features = Features({"image": Image(), "labels": Sequence(ClassLabel(names=["sea", "sky", "town"]))})
tags = [[i % 3] if i % 2 else [0, 2] for i in range(11)] + [[]]
Dataset.from_dict({"image": [{"bytes": it, "path": None} for it in pngs], "labels": tags}, features=features).to_parquet(here / "tags.parquet")

# Lists of words with lists of numbers that have names: as `Sequence` writes them, and as old files do.
words = [["n%d" % i, "saw", "New", "York"] for i in range(20)]
numbers = pyarrow.array([[0, 0, 1, 2]] * 19 + [[3, 0, 0, 0]], pyarrow.list_(pyarrow.int64()))
names = {"names": ["O", "B-LOC", "I-LOC", "B-PER"], "_type": "ClassLabel"}
for file, feature in [("tokens", {"feature": names, "_type": "Sequence"}), ("tokens_old", [names])]:
    table = pyarrow.table({"tokens": words, "ner_tags": numbers})
    metadata = {"huggingface": json.dumps({"info": {"features": {"ner_tags": feature}}})}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), here / f"{file}.parquet")

# Numbers as databases keep them.
numbers = [Decimal(i) / 4 for i in range(12)]
table = pyarrow.table({"text": texts, "score": pyarrow.array(numbers, pyarrow.decimal128(5, 2))})
pyarrow.parquet.write_table(table, here / "decimal.parquet")
