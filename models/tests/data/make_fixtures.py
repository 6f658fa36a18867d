"""Makes the parity data beside it: tiny models of transformers with what they compute.

    python make_fixtures.py [FOLDER...]    # all, or those

Made with torch 2.13.0 (CPU), transformers 5.23.0, safetensors 0.8.0, seed 0.
"""

import pathlib
import random
import sys

import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

HERE = pathlib.Path(__file__).parent
CLASSES, VOCAB, WIDTH, HEADS, INNER, LAYERS, POSITIONS = 3, 64, 24, 4, 48, 2, 24
LR, BETAS, WEIGHT_DECAY, STEPS = 1e-3, (0.9, 0.999), 0.01, 10
# The bias of a key has no gradient but rounding, since softmax ignores what is added to all scores; torch's
# default of 1e-8 would blow that up to whole steps in a random direction.
EPS = 1e-5
LENGTHS = [9, 6, 3, 9, 5]
# MPNet's distances share a bucket from 8 tokens on, and all from 128 on.
LONG = [140, 6, 3, 9, 20]


def awake(model):
    """Gives every tensor a size that matters: fresh models have biases of 0 and logits near 0."""
    for name, p in model.named_parameters():
        norm = "norm" in name.lower()
        p.data = (1.0 if norm and name.endswith("weight") else 0.0) + torch.randn_like(p) * (0.1 if norm else 0.25)
    return model.eval()  # no dropout


def batch(pad, lengths):
    """Five texts; the second has the padding token's number in its midst."""
    rng = random.Random(0)
    ids = torch.full((5, max(lengths)), pad)
    mask = torch.zeros_like(ids)
    for row, n in enumerate(lengths):
        ids[row, :n] = torch.tensor([rng.randrange(4, VOCAB) for _ in range(n)])
        mask[row, :n] = 1
    ids[1, 2] = pad
    return ids, mask, torch.tensor([0, 2, 1, 1, 0])


def decays(name):
    return not name.endswith("bias") and "norm" not in name.lower()


def tensors(named):
    return {name: p.detach().clone().contiguous() for name, p in named}


def classifier(folder, model):
    model.save_pretrained(HERE / folder)
    ids, mask, labels = batch(model.config.pad_token_id, LONG if folder == "mpnet" else LENGTHS)
    save_file({"ids": ids, "mask": mask, "labels": labels}, HERE / folder / "input.safetensors")

    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    gradients = tensors((name, p.grad) for name, p in model.named_parameters())
    save_file({"logits": out.logits.detach(), "loss": out.loss.detach()} | gradients, HERE / folder / "expected.safetensors")

    groups = [
        {"params": [p for name, p in model.named_parameters() if decays(name)], "weight_decay": WEIGHT_DECAY},
        {"params": [p for name, p in model.named_parameters() if not decays(name)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
    save_file(tensors(model.named_parameters()), HERE / folder / "stepped.safetensors")


def body(folder, model):
    """A body alone, as MiniLM is published: names without the prefix, the norms' old names, a buffer too many."""
    model.save_pretrained(HERE / folder)
    stored = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): it for name, it in tensors(model.named_parameters()).items()}
    stored["embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    save_file(stored, HERE / folder / "model.safetensors", {"format": "pt"})
    ids, mask, _ = batch(model.config.pad_token_id, LENGTHS)
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.detach()
    save_file({"ids": ids, "mask": mask, "hidden": hidden}, HERE / folder / "expected.safetensors")


def main():
    torch.set_default_dtype(torch.float32)
    bert = dict(
        vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER, num_labels=CLASSES
    )
    makers = {
        "bert": lambda: BertForSequenceClassification(BertConfig(**bert, max_position_embeddings=POSITIONS)),
        "roberta": lambda: RobertaForSequenceClassification(
            RobertaConfig(**bert, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, layer_norm_eps=1e-5, hidden_act="gelu_new")
        ),
        "distilbert": lambda: DistilBertForSequenceClassification(
            DistilBertConfig(
                vocab_size=VOCAB, dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=POSITIONS, num_labels=CLASSES
            )
        ),
        "xlm_roberta": lambda: XLMRobertaForSequenceClassification(
            XLMRobertaConfig(**bert, max_position_embeddings=POSITIONS + 2, type_vocab_size=1, layer_norm_eps=1e-5)
        ),
        "electra": lambda: ElectraForSequenceClassification(ElectraConfig(**bert, max_position_embeddings=POSITIONS, embedding_size=16)),
        # Two tokens to either side are seen in the second layer.
        "modernbert": lambda: ModernBertForSequenceClassification(
            ModernBertConfig(**bert, max_position_embeddings=POSITIONS, local_attention=4, pad_token_id=0)
        ),
        "mpnet": lambda: MPNetForSequenceClassification(MPNetConfig(**bert, max_position_embeddings=LONG[0] + 10)),
        # As v3: buckets of one distance up to 2, shared ones up to 6, and then the last one.
        "deberta": lambda: DebertaV2ForSequenceClassification(
            DebertaV2Config(
                **bert, max_position_embeddings=POSITIONS, relative_attention=True, share_att_key=True, pos_att_type=["p2c", "c2p"],
                position_buckets=4, max_relative_positions=6, norm_rel_ebd="layer_norm", position_biased_input=False,
            )
        ),
    }
    for folder in sys.argv[1:] or makers:
        torch.manual_seed(0)
        classifier(folder, awake(makers[folder]()))
    if not sys.argv[1:]:
        torch.manual_seed(1)
        body("bert_body", awake(BertModel(BertConfig(**bert, max_position_embeddings=POSITIONS))))


if __name__ == "__main__":
    main()
