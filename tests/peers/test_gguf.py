"""GGUF files, as transformers and the `gguf` package read them: the same tokens, the same numbers, the same text as the folder that
they were made of. Where llama-cpp-python is installed (it is no part of requirements.txt), llama.cpp itself says the same.
"""

import json, math, os, random
from pathlib import Path

import gguf, pytest, torch, transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

import tiny_models
from runner import ROOT, finetuned

SMOLLM2 = Path(os.environ.get("FINETUNED_ASSETS", ROOT / ".assets")) / "models/smollm2"
HARD = ["naïve Café — “quotes” … €5", "这部电影很好看", "🙂👍🏽", " two  blanks \n and a line", "a", "I'LL do, it's 1234567 <|end|> so", "x\n\n\n  y"]
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SIZE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)


def texts(count):
    draw = random.Random(0)
    words = "the movie is was really good bad warm cold day place and I'll 12 345 see it".split()
    return [" ".join(draw.choices(words, k=12)) + f" {draw.randrange(1000)}." for _ in range(count)]


def bytes_tokenizer(folder, split, digits="{1,3}", ignore_merges=False, bos=False, normalizer=None):
    """Byte-level BPE; `split` names what comes before it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizer
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split != "regex")
    first = {"regex": pre_tokenizers.Split(Regex(SPLIT.replace("{1,3}", digits)), "isolated"), "digits": pre_tokenizers.Digits(individual_digits=True)}
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first[split], level]) if split in first else level
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>"]
    tokenizer.train_from_iterator(texts(300) + HARD, trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=level.alphabet()))
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", pair="$A $B", special_tokens=[("<|begin|>", 0)])
    tiny_models.save_tokenizer(folder, tokenizer, dict(bos_token="<|begin|>", eos_token="<|end|>"))
    return tokenizer.get_vocab_size()


def sentencepiece_tokenizer(folder):
    """As transformers converts Llama 2's: every way to make a token is a merge, in the order of the tokens."""
    legacy = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE(byte_fallback=True))
    trained.normalizer, trained.pre_tokenizer = legacy, pre_tokenizers.Metaspace(prepend_scheme="never")
    trained.train_from_iterator(texts(300), trainers.BpeTrainer(vocab_size=160))
    pieces = sorted(trained.get_vocab(), key=trained.get_vocab().get)
    vocab = {it: k for k, it in enumerate(["<unk>", "<s>", "</s>", *[f"<0x{it:02X}>" for it in range(256)], *pieces])}
    merges = [(it[:k], it[k:]) for it in pieces for k in range(1, len(it)) if it[:k] in pieces and it[k:] in pieces]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = legacy
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="$A $B", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tiny_models.save_tokenizer(folder, tokenizer, dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>"))
    return len(vocab)


def llama(folder, size, **more):
    config = transformers.LlamaConfig(**SIZE, vocab_size=size, bos_token_id=0, eos_token_id=1, **more)
    tiny_models.save_model(folder, transformers.LlamaForCausalLM, config)


def make_llama(folder):
    llama(folder, bytes_tokenizer(folder, "digits") + 4, tie_word_embeddings=True)


def make_llama3(folder):
    llama(folder, bytes_tokenizer(folder, "regex", ignore_merges=True, bos=True))


def make_llama2(folder):
    llama(folder, sentencepiece_tokenizer(folder))


def make_qwen2(folder):
    size = bytes_tokenizer(folder, "regex", digits="", normalizer=normalizers.NFC())
    config = transformers.Qwen2Config(**SIZE, vocab_size=size, eos_token_id=1)
    tiny_models.save_model(folder, transformers.Qwen2ForCausalLM, config)


def make_qwen3(folder):
    size = bytes_tokenizer(folder, "regex", digits="", normalizer=normalizers.NFC())
    # transformers reads no key_length of it: 128 is what every Qwen3 has.
    config = transformers.Qwen3Config(**SIZE, vocab_size=size, head_dim=128, tie_word_embeddings=True, eos_token_id=1)
    tiny_models.save_model(folder, transformers.Qwen3ForCausalLM, config)


def make_gpt2(folder):
    size = bytes_tokenizer(folder, "none")
    # transformers takes its default of 1024 positions.
    config = transformers.GPT2Config(vocab_size=size, n_positions=1024, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)
    tiny_models.save_model(folder, transformers.GPT2LMHeadModel, config)


def trained(home, base, rows, recipe):
    (home / "drop").mkdir()
    for split, lines in rows.items():
        (home / f"drop/{split}.jsonl").write_text("".join(json.dumps({"text": it}) + "\n" for it in lines), encoding="utf-8")
    settings = f"model.base = {json.dumps(str(base))}\ntask = 'causal-language-modeling'\ntrain.epochs = 1\ntrain.batch = 8\n{recipe}"
    (home / "recipe.toml").write_text(settings)
    finetuned(home, "run", home / "drop", "--recipe", home / "recipe.toml", "--out", home / "run")
    return home / "run/model"


def exported(home, kind):
    """Alone in a folder, so that nothing else is read."""
    (home / kind).mkdir()
    finetuned(home, "export", home / "run", "--gguf", kind, "--out", home / kind / "model.gguf")
    return home / kind


def opened(folder, **more):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more).eval(), AutoTokenizer.from_pretrained(folder, **more)


def of_file(folder):
    return opened(folder, gguf_file="model.gguf")


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def perplexity(model, examples):
    losses = [torch.nn.functional.cross_entropy(logits(model, it)[:-1], torch.tensor(it[1:]), reduction="sum").item() for it in examples]
    return math.exp(sum(losses) / sum(len(it) - 1 for it in examples))


def greedy(model, ids, count=32):
    """Ends of texts do not end it."""
    said, step, cache = [], ids, None
    for _ in range(count):
        with torch.no_grad():
            out = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
        cache, step = out.past_key_values, [out.logits[0, -1].argmax().item()]
        said += step
    return said


def lists_all(path, model):
    reader = gguf.GGUFReader(path)
    names = [it.name for it in reader.tensors]
    stored = {name for name, _ in model.named_parameters()}
    assert len(names) == len(set(names)) == len(stored), sorted(names)
    assert sum(int(it.n_elements) for it in reader.tensors) == sum(it.numel() for it in model.parameters())
    return reader


@pytest.mark.parametrize("make", [make_llama, make_llama3, make_llama2, make_qwen2, make_qwen3, make_gpt2])
def test_what_is_read_from_the_file_is_the_model(tmp_path, make):
    (tmp_path / "base").mkdir()
    make(tmp_path / "base")
    folder = trained(tmp_path, tmp_path / "base", {"train": texts(60), "test": texts(70)[60:]}, "train.lr = 3e-3\nsave.gguf = 'q8_0'\n")
    lists_all(folder / "model-Q8_0.gguf", AutoModelForCausalLM.from_pretrained(folder))
    model, tokenizer = opened(folder)
    prompts = [tokenizer(it)["input_ids"] for it in texts(4) + HARD]
    theirs = {kind: of_file(exported(tmp_path, kind)) for kind in ("f32", "f16", "q8_0")}
    for text, ids in zip(texts(4) + HARD, prompts):
        # transformers reads every SentencePiece of a GGUF as one that puts no blank before a blank, whatever the file says of it.
        if make is not make_llama2 or not text.startswith(" "):
            assert theirs["f32"][1](text)["input_ids"] == ids, text
        torch.testing.assert_close(logits(theirs["f32"][0], ids), logits(model, ids), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(logits(theirs["f16"][0], ids), logits(model, ids), atol=5e-3, rtol=5e-3)
    for ids in prompts[:3]:
        said = greedy(theirs["f32"][0], ids)
        assert said == greedy(model, ids)
        assert theirs["f32"][1].decode(said) == tokenizer.decode(said)
    near = perplexity(theirs["q8_0"][0], prompts[:4]), perplexity(theirs["f16"][0], prompts[:4])
    assert near[0] == pytest.approx(near[1], rel=0.02)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    if not (SMOLLM2 / "model.safetensors").exists():
        pytest.skip("SmolLM2's weights are not there: `make assets` fetches them")
    home = tmp_path_factory.mktemp("smollm2")
    rows = {"train": texts(16), "validation": texts(18)[16:], "test": texts(20)[18:]}
    folder = trained(home, SMOLLM2, rows, "data.max_tokens = 64\n[adapter]\nr = 4\n")
    return folder, exported(home, "f16"), exported(home, "q8_0")


QUESTION = [{"role": "user", "content": "Name three colours of the rainbow, in 2 words each."}]


def prompt(tokenizer):
    return tokenizer.apply_chat_template(QUESTION, add_generation_prompt=True, tokenize=False)


def test_real_weights_say_the_same(smollm2):
    folder, f16, q8_0 = smollm2
    model, tokenizer = opened(folder)
    theirs, of_theirs = of_file(f16)
    lists_all(f16 / "model.gguf", model)
    assert of_theirs.chat_template == tokenizer.chat_template
    for text in texts(4) + HARD + [prompt(tokenizer)]:
        assert of_theirs(text)["input_ids"] == tokenizer(text)["input_ids"], text
    ids = tokenizer(prompt(tokenizer))["input_ids"]
    assert of_theirs.decode(greedy(theirs, ids)) == tokenizer.decode(greedy(model, ids))
    examples = [tokenizer(it)["input_ids"] for it in [*HARD[:4], "The capital of France is Paris, which lies on the river Seine."]]
    assert perplexity(of_file(q8_0)[0], examples) == pytest.approx(perplexity(theirs, examples), rel=0.01)


def test_llama_cpp_says_the_same(smollm2):
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    folder, f16, _ = smollm2
    model, tokenizer = opened(folder)
    theirs = llama_cpp.Llama(str(f16 / "model.gguf"), n_ctx=256, n_threads=2, verbose=False)
    for text in texts(4) + HARD + [prompt(tokenizer)]:
        assert theirs.tokenize(text.encode(), add_bos=False, special=True) == tokenizer(text)["input_ids"], text
    ids = tokenizer(prompt(tokenizer))["input_ids"]
    said = theirs.create_completion(ids, max_tokens=32, temperature=0.0)["choices"][0]["text"]
    ours = greedy(model, ids)
    ours = ours[: ours.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in ours else ours
    assert said == tokenizer.decode(ours)
