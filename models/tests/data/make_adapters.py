"""Makes the parity data in `adapters/`: adapters of peft over the tiny models beside it, with what they compute.

    python make_adapters.py [NAME...]    # all, or those

Made with torch 2.13.0 (CPU), transformers 5.23.0, timm 1.0.31, peft 0.21.2, safetensors 0.8.0, seed 0.
"""

import json
import pathlib
import sys

import timm
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

HERE = pathlib.Path(__file__).parent
LR, BETAS, WEIGHT_DECAY, STEPS = 1e-3, (0.9, 0.999), 0.01, 10
# The bias of a key has no gradient but rounding; torch's default of 1e-8 would blow that up to whole steps.
EPS = 1e-5
BERT = ["query", "key", "value", "dense"]
# Of the body alone: peft takes `dense` for the pooler's too.
NO_HEAD = ".*pooler.*"


def texts(folder):
    stored = load_file(folder / "input.safetensors")
    return dict(input_ids=stored["ids"], attention_mask=stored["mask"]), stored["labels"]


def images(folder):
    return load_file(folder / "expected.safetensors")["images"], None


def timm_model(folder):
    config = json.loads((folder / "config.json").read_text())
    model = timm.create_model(config["architecture"], **({"num_classes": 3} | config.get("model_args", {})))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model


def saved(name):
    """As peft calls a parameter in its files."""
    return name.removeprefix("base_model.model.").replace(".default", "").replace(".modules_to_save", "").replace("magnitude_vector.weight", "magnitude_vector")



CASES = {
    "bert_lora": ("bert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=BERT, exclude_modules=NO_HEAD, modules_to_save=["pooler", "classifier"], lora_alpha=8)),
    "bert_some": ("bert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=["query", "value"], modules_to_save=["classifier"], lora_alpha=12, use_rslora=True)),
    "bert_dora": ("bert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=BERT, exclude_modules=NO_HEAD, modules_to_save=["classifier"], lora_alpha=8, use_dora=True)),
    "distilbert_lora": ("distilbert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=["q_lin", "v_lin", "lin1", "lin2"], modules_to_save=["pre_classifier", "classifier"], lora_alpha=4)),
    # Its maps of queries and keys act on the table of distances too.
    "deberta_lora": ("deberta", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=["query_proj", "key_proj", "value_proj"], modules_to_save=["pooler", "classifier"], lora_alpha=8)),
    "modernbert_lora": ("modernbert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=["Wqkv", "Wi", "Wo"], modules_to_save=["head", "classifier"], lora_alpha=8)),
    "hf_vit_lora": ("vit/hf_vit", AutoModelForImageClassification.from_pretrained, images, dict(target_modules=r"vit\..*\.(\w+_proj|fc\d|query|key|value|dense)", modules_to_save=["classifier"], lora_alpha=8)),
    # Which maps, and whether inputs or outputs have the factors, peft says.
    "bert_ia3": ("bert", AutoModelForSequenceClassification.from_pretrained, texts, dict(modules_to_save=["classifier"])),
    "deberta_ia3": ("deberta", AutoModelForSequenceClassification.from_pretrained, texts, dict(modules_to_save=["pooler", "classifier"])),
    "modernbert_ia3": ("modernbert", AutoModelForSequenceClassification.from_pretrained, texts, dict(target_modules=["Wqkv", "mlp.Wo"], feedforward_modules=["mlp.Wo"], modules_to_save=["head", "classifier"])),
    "hf_vit_ia3": ("vit/hf_vit", AutoModelForImageClassification.from_pretrained, images, dict(target_modules=["k_proj", "v_proj", "fc2"], feedforward_modules=["fc2"], modules_to_save=["classifier"])),
    "timm_vit_ia3": ("vit/timm_vit", timm_model, images, dict(target_modules=["qkv", "mlp.fc2"], feedforward_modules=["mlp.fc2"], modules_to_save=["head"])),
    "timm_vit_dora": ("vit/timm_vit", timm_model, images, dict(target_modules=["qkv", "proj", "fc1", "fc2"], exclude_modules="patch_embed.*", modules_to_save=["head"], lora_alpha=8, use_dora=True)),
}


def main():
    for name in sys.argv[1:] or CASES:
        folder, load, inputs, config = CASES[name]
        torch.manual_seed(0)
        kind = IA3Config(**config) if name.endswith("ia3") else LoraConfig(r=4, lora_dropout=0.0, **config)
        model = get_peft_model(load(HERE / folder), kind).eval()
        parameters = {saved(key): p for key, p in model.named_parameters() if p.requires_grad}
        for key, p in parameters.items():
            if "ia3_l" in key:
                p.data = 1.0 + torch.randn_like(p) * 0.2
            if "lora_" in key:
                # Both factors count; peft begins with one that is 0.
                p.data = p.data * 1.1 if "magnitude" in key else torch.randn_like(p) * 0.2
        target = HERE / "adapters" / name
        model.peft_config["default"].base_model_name_or_path = folder
        model.save_pretrained(target)
        (target / "README.md").unlink(missing_ok=True)
        xs, labels = inputs(HERE / folder)

        def forward():
            found = model(**xs).logits if isinstance(xs, dict) else model(xs)
            return getattr(found, "logits", found)

        if labels is None:
            labels = torch.arange(len(xs)) % 3

        def backward():
            model.zero_grad()
            found = forward()
            torch.nn.functional.cross_entropy(found, labels).backward()
            return found.detach()

        expected = {"logits": backward(), "labels": labels}
        expected |= {f"grad.{key}": p.grad.clone() for key, p in parameters.items()}
        decayed = [p for key, p in parameters.items() if not key.endswith("bias")]
        plain = [p for key, p in parameters.items() if key.endswith("bias")]
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
        for _ in range(STEPS):
            backward()
            optimizer.step()
        expected |= {f"stepped.{key}": p.detach().clone() for key, p in parameters.items()}
        with torch.no_grad():
            expected["stepped_logits"] = forward()
        save_file({key: it.contiguous() for key, it in expected.items()}, target / "expected.safetensors")
        print(name, len(parameters), expected["logits"][0].tolist())


if __name__ == "__main__":
    main()
