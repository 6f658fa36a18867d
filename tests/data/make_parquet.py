"""Writes one_long_text.parquet with pyarrow 26.0.1: two million rows of one text of 20 kB, in a dictionary, so that the file has some
20 kB and its texts 40 GB."""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2_000_000
text = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array(["word " * 4_000]))
label = pa.DictionaryArray.from_arrays(pa.array([0, 1] * (ROWS // 2), pa.int32()), pa.array(["a", "b"]))
table = pa.table({"text": text, "label": label})
pq.write_table(table, pathlib.Path(__file__).with_name("one_long_text.parquet"), compression="zstd", row_group_size=ROWS)
