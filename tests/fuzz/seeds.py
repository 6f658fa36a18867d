#!/usr/bin/env python3
"""Make corpus/, the first inputs of the fuzzer: a few small files of each kind. Made with Python 3.11.7 and pyarrow 26.0.1."""
import io, json, struct, tarfile, zipfile, zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT, CORPUS = HERE.parents[1], HERE / "corpus"
ROWS = [("the soup was good", "good"), ("never again", "bad"), ("quite nice", "good"), ("cold and slow", "bad")] * 3

TOKENIZERS = ("BPE with byte fallback", "WordPiece", "Unigram", "normalizer Precompiled", "post-processor TemplateProcessing", "added tokens")


def write(target, name, data):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def lines(separator):
    return "".join(f"{text} {n}{separator}{label}\n" for n, (text, label) in enumerate(ROWS))


def packed(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def tarred(members, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.USTAR_FORMAT) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def png(shade):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    pixels = b"".join(b"\0" + bytes([shade, n * 16, 255 - shade]) * 8 for n in range(8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def idx():
    images = struct.pack(">BBBBIII", 0, 0, 8, 3, 8, 4, 4) + bytes((n * 37) % 256 for n in range(8 * 16))
    return {"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": struct.pack(">BBBBI", 0, 0, 8, 1, 8) + bytes([0, 1] * 4)}


def workbook():
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="inlineStr"><is><t>{a}</t></is></c><c r="B{n}" t="inlineStr"><is><t>{b}</t></is></c></row>' for n, (a, b) in enumerate([("text", "label"), *ROWS], 1))
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    types = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{}" Target="{}"/></Relationships>'
    return packed({
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": relations.format(f"{types}/officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{types}"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations.format(f"{types}/worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{cells}</sheetData></worksheet>",
    })


def open_document():
    name = "urn:oasis:names:tc:opendocument:xmlns:"
    cells = "".join("<table:table-row>" + "".join(f'<table:table-cell office:value-type="string"><text:p>{it}</text:p></table:table-cell>' for it in row) + "</table:table-row>" for row in [("text", "label"), *ROWS])
    content = f'<office:document-content xmlns:office="{name}office:1.0" xmlns:table="{name}table:1.0" xmlns:text="{name}text:1.0"><office:body><office:spreadsheet><table:table table:name="a">{cells}</table:table></office:spreadsheet></office:body></office:document-content>'
    return packed({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": content})


def arrow():
    import pyarrow
    table = pyarrow.table({"text": [f"{it[0]} {n}" for n, it in enumerate(ROWS)], "label": [it[1] for it in ROWS]})
    for name, kind in (("stream", pyarrow.ipc.new_stream), ("file", pyarrow.ipc.new_file)):
        sink = pyarrow.BufferOutputStream()
        with kind(sink, table.schema) as writer:
            writer.write_table(table)
        write("a.arrow", name, sink.getvalue().to_pybytes())


def main():
    table = "text,label\n" + lines(",")
    objects = [f'{{"text": "{text} {n}", "label": "{label}"}}' for n, (text, label) in enumerate(ROWS)]
    chat = '{"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b."}]}\n'
    write("a.csv", "plain", table)
    write("a.csv", "quoted", "sep=;\n\"text\";\"label\"\n" + "".join(f"\"{text}, \"\"{n}\"\"\";{n},5\n" for n, (text, _) in enumerate(ROWS)))
    write("a.csv", "several", "id,text,tags,split\n" + "".join(f"{n},{text},a|b,{'train' if n % 3 else 'test'}\n" for n, (text, _) in enumerate(ROWS)))
    write("a.tsv", "plain", "text\tlabel\n" + lines("\t"))
    write("a.txt", "fasttext", "".join(f"__label__{label} {text}\n" for text, label in ROWS))
    write("a.txt", "lines", "".join(f"{text}\n" for text, _ in ROWS))
    write("a.json", "list", "[" + ",".join(objects) + "]")
    write("a.json", "columns", '{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 0}}')
    write("a.json", "spans", '[{"text": "Ada in Paris", "label": [[0, 3, "PER"], [7, 12, "LOC"]]}]')
    write("a.jsonl", "plain", "\n".join(objects))
    write("a.jsonl", "chat", chat * 4)
    write("a.jsonl", "pairs", '{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 4)
    write("a.conll", "plain", "\n".join(f"Ada{n} B-PER\nsleeps O\n" for n in range(6)))
    write("a.xlsx", "plain", workbook())
    write("a.ods", "plain", open_document())
    write("a.zip", "table", packed({"data/train.csv": table, "job.toml": "train.epochs = 1\n"}))
    write("a.zip", "images", packed({f"{label}/{n}.png": png(n * 20) for n, (_, label) in enumerate(ROWS)}))
    write("a.zip", "zip in zip", packed({"inner.zip": packed({"a.csv": table})}))
    write("a.tar", "idx", tarred(idx()))
    write("a.tar", "images", tarred({f"{label}/{n}.png": png(n * 20) for n, (_, label) in enumerate(ROWS[:6])}))
    write("a.tar", "brat", tarred({"a.txt": b"Ada sleeps", "a.ann": b"T1\tPER 0 3\tAda\n", "b.txt": b"Bob", "b.ann": b"T1\tPER 0 3\tBob\n"}))
    write("a.tar.gz", "table", tarred({"train.csv": table.encode()}, "w:gz"))
    write("recipe", "all", 'task = "text-classification"\n[model]\nbase = "hf:a/b"\n[freeze]\ntrain = ["head", "last:2"]\nunfreeze = [{ epoch = 3, train = ["all"] }]\n[data]\nvalidation = 0.1\n[train]\nepochs = 10\nlr = 5e-4\n[eval]\nmetrics = ["accuracy"]\n[adapter]\nrank = 8\n[plugins]\nload = ["focal"]\n')
    write("recipe", "wrong", "train.epoch = 3\n[[[")
    write("config", "all", 'workers = 2\nmemory = "6 GiB"\nquiet = "08:00-18:00"\nsettle_s = 2.5\n[[inbox]]\npath = "drops"\nweight = 3\nqueue_jobs = 10\n[retention]\nruns = 5\n[recipes]\nbases = ["hf:*"]\n[plugins]\ncall_s = 60\n')
    write("config", "wrong", "worker = 3\n[[inbox]\n")
    for case in json.loads((ROOT / "daemon/worker/tests/data/tokenizer_parts.json").read_text())["cases"]:
        if case["kind"] in TOKENIZERS:
            write("tokenizer", case["kind"], json.dumps(case["tokenizer"], ensure_ascii=False))
    library = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, 3, 2)
    names = b"\0.finetuned\0.shstrtab\0"
    section = lambda name, kind, at, size: struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, at, size, 0, 0, 1, 0)
    descriptor = b"finetuned-plugin" + bytes(240)
    at = 64 + 3 * 64
    headers = bytes(64) + section(1, 1, at, len(descriptor)) + section(12, 3, at + len(descriptor), len(names))
    write("plugin", "library", library + headers + descriptor + names)
    arrow()


if __name__ == "__main__":
    main()
