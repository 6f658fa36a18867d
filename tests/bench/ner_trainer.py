"""The reference for `make bench BENCH=ner`: token classification with the Hugging Face Trainer, as its documentation
shows it, but that all sub-tokens of a word are labelled (`label_all_tokens` of transformers' example), as ours are.

Same weights, files, epochs, batch, learning rate, longest text and number of threads as ours; its own defaults for all
else. Writes the model and, as its last line, seqeval's scores over the words of the test file as JSON: of each word,
what its first sub-token says.
"""
import json

import torch
from seqeval.metrics import accuracy_score, f1_score
from transformers import AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification, Trainer, TrainingArguments

import arguments


def read(path):
    with open(path, encoding="utf-8") as file:
        sentences = [part.splitlines() for part in file.read().split("\n\n")]
    return [list(zip(*(line.rstrip("\n").rsplit("\t", 1) for line in it if line.strip()))) for it in sentences if it]


def main():
    args = arguments.reference("train.conll and test.conll: a word, a tab, its tag", "max-tokens")
    torch.set_num_threads(args.threads)
    train, test = read(f"{args.data}/train.conll"), read(f"{args.data}/test.conll")
    tags = sorted({tag for _, found in train for tag in found} | {"I-" + tag[2:] for _, found in train for tag in found if tag != "O"})
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    model = AutoModelForTokenClassification.from_pretrained(
        args.base, num_labels=len(tags), id2label=dict(enumerate(tags)), label2id={name: i for i, name in enumerate(tags)})

    def encoded(words, labels):
        tokens = tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=args.max_tokens)
        before, found = None, []
        for word in tokens.word_ids():
            tag = None if word is None else labels[word]
            inside = tag is not None and word == before and tag.startswith("B-")
            found.append(-100 if tag is None else tags.index("I-" + tag[2:] if inside else tag))
            before = word
        return dict(tokens, labels=found)

    settings = TrainingArguments(args.out, num_train_epochs=args.epochs, per_device_train_batch_size=args.batch, learning_rate=args.lr, seed=args.seed)
    trainer = Trainer(model, settings, train_dataset=[encoded(*it) for it in train], data_collator=DataCollatorForTokenClassification(tokenizer), processing_class=tokenizer)
    trainer.train()
    trainer.save_model(f"{args.out}/model")
    rows = [dict(tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=args.max_tokens)) for words, _ in test]
    logits = trainer.predict([dict(row, labels=[-100] * len(row["input_ids"])) for row in rows]).predictions
    targets, predictions = [], []
    for (words, labels), row in zip(test, logits):
        places = tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=args.max_tokens).word_ids()
        best = row.argmax(-1)
        predictions.append([tags[best[places.index(word)]] if word in places else "O" for word in range(len(words))])
        targets.append(list(labels))
    print(json.dumps({"entity_f1": f1_score(targets, predictions), "token_accuracy": accuracy_score(targets, predictions)}))


if __name__ == "__main__":
    main()
