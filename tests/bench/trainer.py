"""The reference for `make bench`: the Hugging Face Trainer as its documentation shows it, nothing tuned.

Same weights, files, epochs, batch, learning rate, longest text and number of threads as ours; its own defaults
for all else. Writes the model and, as its last line, its scores on the test file as JSON. Of validation.csv it
knows nothing: by default it evaluates nothing while it trains.
"""
import csv, json

import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

import arguments

# What stands between the last hidden state and the logits: our recipes call it `head`.
HEAD = ("classifier.", "pre_classifier.", "bert.pooler.")


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main():
    args = arguments.reference("train.csv and test.csv: text,label", "max-tokens")
    torch.set_num_threads(args.threads)
    train, test = read(f"{args.data}/train.csv"), read(f"{args.data}/test.csv")
    classes = sorted({row["label"] for row in train})
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    model = AutoModelForSequenceClassification.from_pretrained(
        args.base, num_labels=len(classes), id2label=dict(enumerate(classes)), label2id={name: i for i, name in enumerate(classes)})
    if args.head_only:
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith(HEAD)

    def encoded(rows):
        return [dict(tokenizer(row["text"], truncation=True, max_length=args.max_tokens), label=classes.index(row["label"])) for row in rows]

    settings = TrainingArguments(args.out, num_train_epochs=args.epochs, per_device_train_batch_size=args.batch, learning_rate=args.lr, seed=args.seed)
    trainer = Trainer(model, settings, train_dataset=encoded(train), data_collator=DataCollatorWithPadding(tokenizer), processing_class=tokenizer)
    trainer.train()
    trainer.save_model(f"{args.out}/model")
    said = trainer.predict(encoded(test)).predictions.argmax(-1)
    truth = [classes.index(row["label"]) for row in test]
    print(json.dumps({"accuracy": accuracy_score(truth, said), "macro_f1": f1_score(truth, said, average="macro")}))


if __name__ == "__main__":
    main()
