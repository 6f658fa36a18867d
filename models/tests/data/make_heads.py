"""Makes the parity data of heads over tokens: what transformers computes with weights that anyone can make again
from the tensors' names, so that none are stored.

    python make_heads.py [NAME...]    # all, or those

Made with torch 2.13.0 (CPU), transformers 5.23.0, safetensors 0.8.0.
"""

import json
import pathlib
import sys
import tempfile

import torch
from make_images import digest, weight
from safetensors import safe_open
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2ForTokenClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForTokenClassification,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForTokenClassification,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    MPNetConfig,
    MPNetForMaskedLM,
    MPNetForTokenClassification,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForTokenClassification,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForTokenClassification,
)

HERE = pathlib.Path(__file__).parent / "heads"
VOCAB, WIDTH, HEADS, INNER, LAYERS, POSITIONS = 64, 24, 4, 48, 2, 24
LENGTHS = [9, 6, 3, 9, 5]
TAGS = 5
IGNORED = -100


def batch(pad):
    """Five texts of 3 to 9 tokens, one behind the other."""
    ids = [4 + (7 * k * k + 3 * k) % (VOCAB - 4) for k in range(sum(LENGTHS))]
    padded = torch.full((len(LENGTHS), max(LENGTHS)), pad)
    mask = torch.zeros_like(padded)
    start = 0
    for row, n in enumerate(LENGTHS):
        padded[row, :n] = torch.tensor(ids[start : start + n])
        mask[row, :n] = 1
        start += n
    return ids, padded, mask


def record(name, model, classes, token_types=False, per_text=False):
    if sys.argv[1:] and name not in sys.argv[1:]:
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safe_open(f"{folder}/model.safetensors", "pt") as file:
            saved = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}
        config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    every = dict(model.named_parameters(remove_duplicate=False))  # of a tied one, a file has one name
    parameters = {key: every[key] for key in saved}
    assert len({id(p) for p in every.values()}) == len(saved), set(every) ^ set(saved)
    for key, p in parameters.items():
        p.data = weight(key, tuple(p.shape))
    model.eval()  # no dropout
    ids, padded, mask = batch(model.config.pad_token_id)
    # Every third token's label does not count.
    flat = [IGNORED if k % 3 == 2 else (5 * k + 1) % classes for k in range(len(ids))]
    if per_text:
        flat = [k % classes for k in range(len(LENGTHS))]
        labels = torch.tensor(flat)
    else:
        labels = torch.full_like(padded, IGNORED)
        labels[mask.bool()] = torch.tensor(flat)
    types = torch.zeros_like(padded)
    if token_types:  # the second half of each text
        for row, n in enumerate(LENGTHS):
            types[row, n // 2 : n] = 1
    more = {"token_type_ids": types} if token_types else {}
    out = model(input_ids=padded, attention_mask=mask, labels=labels, **more)
    out.loss.backward()
    logits = out.logits if per_text else out.logits[mask.bool()]
    facts = {"config": config, "ids": ids, "lengths": LENGTHS, "token_types": types[mask.bool()].tolist() if token_types else None, "labels": flat, "loss": out.loss.item(), "logits": digest(logits)}
    gradient = lambda key: None if parameters[key].grad is None else digest(parameters[key].grad)
    tensors = {key: {"shape": shape, "gradient": gradient(key)} for key, shape in sorted(saved.items())}
    HERE.mkdir(exist_ok=True)
    lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(it)}" for key, it in tensors.items())
    facts = ",\n".join(f"  {json.dumps(key)}: {json.dumps(it)}" for key, it in facts.items())
    (HERE / f"{name}.json").write_text(f'{{\n{facts},\n  "tensors": {{\n{lines}\n  }}\n}}\n')
    print(name, out.loss.item())


SIZES = dict(vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER)


def bert(**more):
    return BertConfig(**SIZES, max_position_embeddings=POSITIONS, **more)


def roberta(kind=RobertaConfig, **more):
    return kind(**SIZES, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, layer_norm_eps=1e-5, **more)


def electra(**more):
    return ElectraConfig(**SIZES, max_position_embeddings=POSITIONS, embedding_size=16, **more)


def modernbert(**more):
    return ModernBertConfig(**SIZES, max_position_embeddings=POSITIONS, local_attention=4, pad_token_id=0, **more)


def mpnet(**more):
    return MPNetConfig(**SIZES, max_position_embeddings=POSITIONS + 2, **more)


def deberta(kinds="p2c|c2p", **more):
    return DebertaV2Config(
        **SIZES, max_position_embeddings=POSITIONS, relative_attention=True, share_att_key=True, pos_att_type=kinds, **more
    )


def distilbert(**more):
    return DistilBertConfig(
        vocab_size=VOCAB, dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=POSITIONS, **more
    )


def main():
    torch.set_num_threads(1)
    record("bert_vocabulary", BertForMaskedLM(bert()), VOCAB)
    record("bert_token_types", BertForMaskedLM(bert()), VOCAB, token_types=True)
    record("bert_vocabulary_untied", BertForMaskedLM(bert(tie_word_embeddings=False)), VOCAB)
    record("roberta_vocabulary", RobertaForMaskedLM(roberta()), VOCAB)
    record("distilbert_vocabulary", DistilBertForMaskedLM(distilbert()), VOCAB)
    record("bert_pairs", BertForSequenceClassification(bert(num_labels=3)), 3, token_types=True, per_text=True)
    record("bert_tags", BertForTokenClassification(bert(num_labels=TAGS)), TAGS)
    record("roberta_tags", RobertaForTokenClassification(roberta(num_labels=TAGS)), TAGS)
    record("xlm_roberta_vocabulary", XLMRobertaForMaskedLM(roberta(XLMRobertaConfig)), VOCAB)
    record("xlm_roberta_tags", XLMRobertaForTokenClassification(roberta(XLMRobertaConfig, num_labels=TAGS)), TAGS)
    record("electra_vocabulary", ElectraForMaskedLM(electra(hidden_act="relu")), VOCAB)
    record("electra_vocabulary_untied", ElectraForMaskedLM(electra(tie_word_embeddings=False)), VOCAB)
    record("electra_tags", ElectraForTokenClassification(electra(num_labels=TAGS)), TAGS, token_types=True)
    record("modernbert_vocabulary", ModernBertForMaskedLM(modernbert()), VOCAB)
    record("modernbert_vocabulary_untied", ModernBertForMaskedLM(modernbert(tie_word_embeddings=False, decoder_bias=False)), VOCAB)
    record("modernbert_tags", ModernBertForTokenClassification(modernbert(num_labels=TAGS)), TAGS)
    biases = dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True, classifier_activation="relu")
    kinds = ["sliding_attention", "full_attention"]
    mean = modernbert(num_labels=3, classifier_pooling="mean", layer_types=kinds, **biases)
    record("modernbert_mean", ModernBertForSequenceClassification(mean), 3, per_text=True)
    record("mpnet_vocabulary", MPNetForMaskedLM(mpnet()), VOCAB)
    record("mpnet_tags", MPNetForTokenClassification(mpnet(num_labels=TAGS)), TAGS)
    buckets = dict(position_buckets=4, max_relative_positions=6)
    record("deberta_vocabulary", DebertaV2ForMaskedLM(deberta(**buckets, norm_rel_ebd="layer_norm", position_biased_input=False)), VOCAB)
    record("deberta_vocabulary_pretrained", DebertaV2ForMaskedLM(deberta(**buckets, legacy=False)), VOCAB)
    # One kind of scores, a bucket for each distance, and places and token types in the embeddings too.
    record("deberta_tags", DebertaV2ForTokenClassification(deberta(["c2p"], num_labels=TAGS, type_vocab_size=2)), TAGS, token_types=True)
    record("distilbert_tags", DistilBertForTokenClassification(distilbert(num_labels=TAGS)), TAGS)


if __name__ == "__main__":
    main()
