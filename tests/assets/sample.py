#!/usr/bin/env python3
"""Draw a sample of a CSV's rows: `sample.py SOURCE ROWS DEST [SEED]`. The same seed draws the same rows.
SOURCE is a CSV, or a folder that holds one.

Rows stay in their order and their bytes stay as they are, whatever their encoding: a sample of a file with
Latin-1 bytes among UTF-8 has them too. DEST appears in whole or not at all.
"""
import io, os, random, sys
from pathlib import Path


def records(data):
    """Rows of a CSV as bytes, line ends included; a row goes on while a quote is open."""
    row = b""
    for line in io.BytesIO(data):
        row += line
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        yield row


def sample(data, rows, seed):
    header, *body = records(data)
    if len(body) < rows:
        sys.exit(f"{rows} rows are asked for, but there are only {len(body)}")
    if not body[-1].endswith(b"\n"):
        body[-1] += b"\n"
    return header + b"".join(body[i] for i in sorted(random.Random(seed).sample(range(len(body)), rows)))


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    source, rows, dest = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if source.is_dir():
        [source] = source.glob("*.csv")
    partial = dest.with_name(f".{dest.name}.partial")
    partial.write_bytes(sample(source.read_bytes(), rows, int(sys.argv[4]) if len(sys.argv) == 5 else 0))
    os.rename(partial, dest)


if __name__ == "__main__":
    main()
