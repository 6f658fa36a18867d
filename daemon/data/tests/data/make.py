"""Makes the Parquet files beside it: python3 make.py (pandas, pyarrow, datasets).

Written by the libraries that users write them with, because each has its own ways: dictionaries, large
strings, several row groups, class names as metadata.
"""
from pathlib import Path
import pandas, pyarrow, pyarrow.parquet
from datasets import ClassLabel, Dataset, Features, Value

here = Path(__file__).parent
texts = [f"text {i}" for i in range(12)]
features = Features({"text": Value("large_string"), "label": ClassLabel(names=["no", "yes"])})
Dataset.from_dict({"text": texts, "label": [i % 2 for i in range(12)]}, features=features).to_parquet(here / "datasets.parquet")
frame = pandas.DataFrame({"review": texts, "category": pandas.Categorical(["a", "b", "c"] * 4), "stars": [1.5] * 12})
frame.to_parquet(here / "pandas.parquet")
table = pyarrow.table({"text": texts, "label": pyarrow.array([True, False] * 6)})
pyarrow.parquet.write_table(table, here / "zstd.parquet", compression="zstd", row_group_size=5, data_page_version="2.0")
