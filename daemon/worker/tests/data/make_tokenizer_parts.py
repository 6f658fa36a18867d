"""Makes tokenizer_parts.json: a small tokenizer of every kind of part that the tokenizers library knows, and what it
makes of some texts. The tests of finetuned-worker compare with it.

Run where tokenizers 0.22.2 and sentencepiece 0.2.3 are installed: python daemon/worker/tests/data/make_tokenizer_parts.py
"""

import json
import pathlib
import tempfile

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXTS = [
    "Is it good?  It's 1,234.50 km — très loin…",
    "  two\tblanks\n\nand ﬁne Ⅳ １２ naïve ÅNGSTRÖM İstanbul ",
    "你好, 世界! こんにちは 🙂👩‍👩‍👧 don't WON'T",
    "</s>[SEP] <extra> <ADDED>added ab",
]
CHARS = sorted({it for text in TEXTS for it in text} | set("abcdefghijklmnopqrstuvwxyz▁Ġ.,'#"))
SPECIALS = ["<unk>", "</s>", "[SEP]"]

# As the tokenizer.json of these models have them.
PATTERNS = {
    "gpt-2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama-3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt-4o": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "possessive": r"\p{L}++|\p{N}++|[^\p{L}\p{N}]++",
}


def numbered(tokens):
    return {it: number for number, it in enumerate(dict.fromkeys(tokens))}


def characters(specials=SPECIALS):
    """Each character is a token, and a few pairs are."""
    vocab = numbered([*specials, *CHARS, "th", "it", "go", "ood", "ab"])
    merges = [("i", "t"), ("g", "o"), ("a", "b")]
    return models.BPE(vocab=vocab, merges=merges, unk_token="<unk>")


def words(*more):
    vocab = numbered([*SPECIALS, "good", "it", "is", "It", "##s", "##ood", "g", "do", "##n", "two", *CHARS, *more])
    return vocab


def charsmap():
    """A small one, as sentencepiece writes it into its models."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.tsv").write_text("FB01\t66 69\n2163\t49 56\nFF11\t31\nFF12\t32\n2026\t2E 2E 2E\n")
        (folder / "text").write_text("good day to it\nis it good\n" * 20)
        sentencepiece.SentencePieceTrainer.train(input=str(folder / "text"), model_prefix=str(folder / "m"), vocab_size=15, model_type="unigram", normalization_rule_tsv=str(folder / "rules.tsv"), minloglevel=2)
        proto = sentencepiece_model_pb2.ModelProto()
        proto.ParseFromString((folder / "m.model").read_bytes())
        return proto.normalizer_spec.precompiled_charsmap


def made(model=None, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None):
    tokenizer = Tokenizer(model or characters())
    tokenizer.add_special_tokens(SPECIALS)
    for name, part in [("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer), ("post_processor", post_processor), ("decoder", decoder)]:
        if part is not None:
            setattr(tokenizer, name, part)
    return tokenizer


def kinds():
    yield "BPE", made()
    yield "BPE with byte fallback", made(models.BPE(vocab=numbered([*SPECIALS, *[f"<0x{it:02X}>" for it in range(256)], "a", "b", "ab"]), merges=[("a", "b")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    yield "BPE that ignores merges", made(models.BPE(vocab=words("added"), merges=[("i", "t")], unk_token="<unk>", ignore_merges=True), pre_tokenizer=pre_tokenizers.Whitespace())
    yield "BPE with prefix and suffix", made(models.BPE(vocab=words("t</w>", "##t</w>"), merges=[], unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"), pre_tokenizer=pre_tokenizers.Whitespace())
    yield "WordPiece", made(models.WordPiece(words(), unk_token="<unk>", max_input_chars_per_word=20), pre_tokenizer=pre_tokenizers.Whitespace())
    yield "WordLevel", made(models.WordLevel(words(), unk_token="<unk>"), pre_tokenizer=pre_tokenizers.WhitespaceSplit())
    unigram = [("<unk>", 0.0), ("</s>", -9.0), ("[SEP]", -9.0), *[(it, -8.0) for it in CHARS], ("▁it", -3.0), ("ood", -4.0)]
    yield "Unigram", made(models.Unigram(unigram, unk_id=0))
    yield "Unigram with byte fallback", made(models.Unigram([*unigram[:40], *[(f"<0x{it:02X}>", -20.0) for it in range(256)]], unk_id=0, byte_fallback=True))

    for normalizer in [
        normalizers.BertNormalizer(), normalizers.BertNormalizer(lowercase=False, strip_accents=True, handle_chinese_chars=False, clean_text=False),
        normalizers.Strip(), normalizers.Strip(left=False), normalizers.StripAccents(), normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(),
        normalizers.NFKD(), normalizers.Lowercase(), normalizers.Nmt(), normalizers.Replace(" ", "▁"), normalizers.Replace(Regex(r"\s{2,}"), " "),
        normalizers.Prepend("▁"), normalizers.ByteLevel(), normalizers.Precompiled(charsmap()),
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]),
    ]:
        yield f"normalizer {type(normalizer).__name__}", made(normalizer=normalizer)
    for pre_tokenizer in [
        pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False),
        pre_tokenizers.CharDelimiterSplit("o"), pre_tokenizers.Metaspace(), pre_tokenizers.Metaspace(replacement="_", prepend_scheme="never", split=False),
        pre_tokenizers.Metaspace(prepend_scheme="first"), pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.Digits(), pre_tokenizers.UnicodeScripts(), pre_tokenizers.FixedLength(3),
        *[pre_tokenizers.Punctuation(behavior=it) for it in ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"]],
        pre_tokenizers.Split("o", "removed"), pre_tokenizers.Split(Regex(r"\d"), "isolated", invert=True),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]),
        *[pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(it), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]) for it in PATTERNS.values()],
    ]:
        yield f"pre-tokenizer {type(pre_tokenizer).__name__}", made(pre_tokenizer=pre_tokenizer)
    end = ("</s>", 1)
    for processor in [
        processors.BertProcessing(("[SEP]", 2), end), processors.RobertaProcessing(end, ("[SEP]", 2)), processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=[end]),
        processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(single="[SEP] $A", pair="[SEP] $A $B", special_tokens=[("[SEP]", 2)])]),
    ]:
        yield f"post-processor {type(processor).__name__}", made(post_processor=processor)
    for decoder in [
        decoders.BPEDecoder(), decoders.ByteLevel(), decoders.WordPiece(), decoders.Metaspace(), decoders.CTC(pad_token="</s>"), decoders.Replace("▁", " "), decoders.Fuse(),
        decoders.Strip(" ", 1, 0), decoders.ByteFallback(), decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    ]:
        yield f"decoder {type(decoder).__name__}", made(decoder=decoder)

    added = made(normalizer=normalizers.Lowercase())
    added.add_tokens([AddedToken("<extra>", lstrip=True, rstrip=True), AddedToken("<ADDED>", normalized=True), AddedToken("ab", single_word=True, normalized=False)])
    yield "added tokens", added
    for side in ["left", "right"]:
        bounded = made(post_processor=processors.TemplateProcessing(single="$A </s>", special_tokens=[end]))
        bounded.enable_truncation(5, stride=1, direction=side)
        bounded.enable_padding(length=90, direction=side, pad_id=1, pad_token="</s>")
        yield f"truncation and padding on the {side}", bounded


cases = []
for kind, tokenizer in kinds():
    written = json.loads(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    encodings = [tokenizer.encode(it) for it in TEXTS]
    bare = [tokenizer.encode(it, add_special_tokens=False).ids for it in TEXTS]
    decoded = [tokenizer.decode(it) for it in bare]
    cases.append({"kind": kind, "tokenizer": written, "ids": [it.ids for it in encodings], "decoded": decoded})
path = pathlib.Path(__file__).with_name("tokenizer_parts.json")
lines = ",\n".join(json.dumps(it, ensure_ascii=False, separators=(",", ":")) for it in cases)
path.write_text(f'{{"tokenizers":"{tokenizers.__version__}","texts":{json.dumps(TEXTS, ensure_ascii=False)},"cases":[\n{lines}\n]}}\n')
print(len(cases), "kinds,", path.stat().st_size, "bytes")
