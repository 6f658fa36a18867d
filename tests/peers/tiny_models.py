"""Base models of families for which no weights can be fetched: random weights, seeded, with a tokenizer that is
trained on the texts at hand. Made by transformers, so names, config and tokenizer files are its own."""
import torch, transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SIZE = dict(vocab_size=600, max_position_embeddings=130)


def roberta(folder, texts):
    """Byte-level BPE as RoBERTa's own; positions start at pad_token_id + 1, so 130 of them are 128 tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=SIZE["vocab_size"], special_tokens=special, initial_alphabet=alphabet))
    tokenizer.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False)
    save_tokenizer(folder, tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
                   mask_token="<mask>", model_max_length=128)
    config = transformers.RobertaConfig(**SIZE, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, type_vocab_size=1,
                                        pad_token_id=1, bos_token_id=0, eos_token_id=2)
    save_model(folder, transformers.RobertaForMaskedLM, config)


def distilbert(folder, texts):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=SIZE["vocab_size"], special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(sep=("[SEP]", 3), cls_token=("[CLS]", 2))
    save_tokenizer(folder, tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", model_max_length=128)
    config = transformers.DistilBertConfig(**SIZE, dim=32, n_layers=2, n_heads=2, hidden_dim=64, pad_token_id=0)
    save_model(folder, transformers.DistilBertModel, config)


def save_tokenizer(folder, tokenizer, **special):
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def save_model(folder, kind, config):
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
