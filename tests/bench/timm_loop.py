"""The reference for `make bench-images`: timm's model, transform and loader in a plain PyTorch loop, nothing tuned.

Same weights, files, size, epochs, batch, learning rate and number of threads as ours, two loader workers, no
augmentation. Of the validation folder it knows nothing. Writes the model as timm does and, as its last line, its
scores on the test folder and when the first step was done, as JSON.
"""
import json, time

import timm, torch
from sklearn.metrics import accuracy_score, f1_score
from timm.data import ImageDataset, create_loader, resolve_model_data_config
from timm.models import save_for_hf

import arguments

LOADERS = 2


def main():
    args = arguments.reference("train/CLASS/* and test/CLASS/*")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train, test = (ImageDataset(f"{args.data}/{split}") for split in ("train", "test"))
    classes = list(train.reader.class_to_idx)
    model = timm.create_model(f"local-dir:{args.base}", pretrained=True, num_classes=len(classes))
    config = {key: value for key, value in resolve_model_data_config(model).items() if key != "crop_mode"}

    def loader(split, training):
        return create_loader(split, batch_size=args.batch, is_training=training, no_aug=True, num_workers=LOADERS, use_prefetcher=False,
                             device=torch.device("cpu"), pin_memory=False, **config)

    if args.head_only:
        model.requires_grad_(False)
        model.get_classifier().requires_grad_(True)
    optimizer = torch.optim.AdamW((it for it in model.parameters() if it.requires_grad), lr=args.lr, weight_decay=0.0)
    batches, first_step = loader(train, True), None
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=args.epochs * len(batches))
    for _ in range(args.epochs):
        # Batch norm of a frozen body stands still, as ours does.
        model.train(not args.head_only)
        for images, labels in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
            first_step = first_step or time.time()
    save_for_hf(model, f"{args.out}/model", safe_serialization=True)
    model.eval()
    with torch.no_grad():
        answers = [(model(images).argmax(-1), labels) for images, labels in loader(test, False)]
    said, truth = (torch.cat(it).tolist() for it in zip(*answers))
    print(json.dumps({"accuracy": accuracy_score(truth, said), "macro_f1": f1_score(truth, said, average="macro"), "first_step": first_step}))


if __name__ == "__main__":
    main()
