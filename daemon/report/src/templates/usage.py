{% set asked = '{"text": "A text of yours", "text_pair": "The other one"}' if plan.data.text_columns|length == 2 else '"A text of yours"' %}
{% if texts and plan.data.problem == "single_label_classification" %}
from transformers import pipeline

classify = pipeline("text-classification", model={{ folder|quoted }}, truncation=True, max_length={{ plan.data.max_tokens }})
print(classify({{ asked }}))
{% elif plan.task == "token-classification" %}
from transformers import pipeline

find = pipeline("token-classification", model={{ folder|quoted }}, aggregation_strategy="simple")
print(find("A text of yours"))
{% elif plan.task in ["text-generation", "preference", "grpo"] %}
from transformers import pipeline

answer = pipeline("text-generation", model={{ folder|quoted }})
print(answer([{"role": "user", "content": "A question of yours"}], return_full_text=False))
{% elif plan.task == "causal-language-modeling" %}
from transformers import pipeline

go_on = pipeline("text-generation", model={{ folder|quoted }})
print(go_on("A text that begins so", return_full_text=False))
{% elif plan.task == "reward-modeling" %}
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({{ folder|quoted }})
model = AutoModelForSequenceClassification.from_pretrained({{ folder|quoted }}).eval()
talk = [{"role": "user", "content": "A question of yours"}, {"role": "assistant", "content": "An answer"}]
ids = tokenizer.apply_chat_template(talk, return_tensors="pt", return_dict=True)["input_ids"]
with torch.no_grad():
    print(model(ids).logits[0, 0].item())
{% elif plan.data.problem == "language_modeling" %}
from transformers import pipeline

fill = pipeline("fill-mask", model={{ folder|quoted }})
print(fill(f"A text with a {fill.tokenizer.mask_token} in it"))
{% elif texts %}
from transformers import pipeline

read = pipeline("text-classification", model={{ folder|quoted }}, truncation=True, max_length={{ plan.data.max_tokens }}, top_k=None)
print(read({{ asked }}, function_to_apply={{ '"sigmoid"' if plan.data.problem == "multi_label_classification" else '"none"' }}))
{% else %}
{% if library == "timm" %}
import timm
from PIL import Image

model = timm.create_model({{ ("local-dir:" ~ folder)|quoted }}, pretrained=True).eval()
prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
image = Image.open("image.jpg").convert("RGB")
outputs = model(prepare(image).unsqueeze(0)){{ activation }}[0].tolist()
print(dict(zip(model.pretrained_cfg["label_names"], outputs)))
{% else %}
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

prepare = AutoImageProcessor.from_pretrained({{ folder|quoted }})
model = AutoModelForImageClassification.from_pretrained({{ folder|quoted }}).eval()
image = Image.open("image.jpg").convert("RGB")
outputs = model(**prepare(image, return_tensors="pt")).logits{{ activation }}[0].tolist()
print(dict(zip(model.config.id2label.values(), outputs)))
{% endif %}
{% endif %}
