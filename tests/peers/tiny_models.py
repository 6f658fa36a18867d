"""Base models of families for which no weights can be fetched: random weights, seeded, with a tokenizer that is
trained on the texts at hand. Made by transformers, so names, config and tokenizer files are its own."""
import torch, transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SIZE = dict(vocab_size=600, max_position_embeddings=130)
SHAPE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def roberta(folder, texts):
    """Byte-level BPE as RoBERTa's own; positions start at pad_token_id + 1, so 130 of them are 128 tokens."""
    tokenizer = byte_level(texts, ROBERTA)
    tokenizer.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False)
    save_tokenizer(folder, tokenizer, of_roberta())
    save_model(folder, transformers.RobertaForMaskedLM, transformers.RobertaConfig(**SIZE, **SHAPE, type_vocab_size=1, **of_roberta_ids()))


def xlm_roberta(folder, texts):
    tokenizer = unigram(texts, ROBERTA, "<unk>")
    tokenizer.post_processor = around("<s>", "</s>", "</s> </s>", tokenizer)
    save_tokenizer(folder, tokenizer, of_roberta())
    save_model(folder, transformers.XLMRobertaForMaskedLM, transformers.XLMRobertaConfig(**SIZE, **SHAPE, type_vocab_size=1, **of_roberta_ids()))


def distilbert(folder, texts):
    save_tokenizer(folder, bert_word_piece(texts), of_bert())
    config = transformers.DistilBertConfig(**SIZE, dim=32, n_layers=2, n_heads=2, hidden_dim=64, pad_token_id=0)
    save_model(folder, transformers.DistilBertModel, config)


def electra(folder, texts):
    """As the small one, whose embeddings are narrower than its layers."""
    save_tokenizer(folder, bert_word_piece(texts), of_bert())
    save_model(folder, transformers.ElectraForMaskedLM, transformers.ElectraConfig(**SIZE, **SHAPE, embedding_size=16, pad_token_id=0))


def modernbert(folder, texts):
    """Most texts are longer than the eight tokens that a layer sees to either side."""
    tokenizer = byte_level(texts, BERT)
    tokenizer.post_processor = around("[CLS]", "[SEP]", "[SEP]", tokenizer)
    save_tokenizer(folder, tokenizer, of_bert())
    ids = dict(pad_token_id=0, cls_token_id=2, bos_token_id=2, sep_token_id=3, eos_token_id=3)
    config = transformers.ModernBertConfig(**SIZE, **SHAPE, **ids, local_attention=16, classifier_pooling="mean")
    save_model(folder, transformers.ModernBertForMaskedLM, config)


def mpnet(folder, texts):
    tokenizer = word_piece(texts, ROBERTA, "<unk>")
    tokenizer.post_processor = processors.RobertaProcessing(sep=("</s>", 2), cls_token=("<s>", 0), add_prefix_space=False)
    save_tokenizer(folder, tokenizer, of_roberta())
    save_model(folder, transformers.MPNetForMaskedLM, transformers.MPNetConfig(**SIZE, **SHAPE, **of_roberta_ids()))


def deberta(folder, texts):
    """As v3: no places in the embeddings, and buckets of far distances."""
    tokenizer = unigram(texts, BERT, "[UNK]")
    tokenizer.post_processor = around("[CLS]", "[SEP]", "[SEP]", tokenizer)
    save_tokenizer(folder, tokenizer, of_bert())
    config = transformers.DebertaV2Config(
        **SIZE, **SHAPE, pad_token_id=0, relative_attention=True, share_att_key=True, pos_att_type="p2c|c2p", position_buckets=16,
        max_relative_positions=40, norm_rel_ebd="layer_norm", position_biased_input=False, pooler_hidden_act="gelu")
    save_model(folder, transformers.DebertaV2ForMaskedLM, config)


def byte_level(texts, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=SIZE["vocab_size"], special_tokens=special, initial_alphabet=alphabet))
    return tokenizer


def unigram(texts, special, unknown):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=SIZE["vocab_size"], special_tokens=special, unk_token=unknown))
    return tokenizer


def word_piece(texts, special, unknown):
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=SIZE["vocab_size"], special_tokens=special))
    return tokenizer


def bert_word_piece(texts):
    tokenizer = word_piece(texts, BERT, "[UNK]")
    tokenizer.post_processor = processors.BertProcessing(sep=("[SEP]", 3), cls_token=("[CLS]", 2))
    return tokenizer


def around(first, last, between, tokenizer):
    ids = [(it, tokenizer.token_to_id(it)) for it in {first, last}]
    return processors.TemplateProcessing(single=f"{first} $A {last}", pair=f"{first} $A {between} $B {last}", special_tokens=ids)


def of_roberta():
    names = ["bos_token", "pad_token", "eos_token", "unk_token", "mask_token"]
    return dict(zip(names, ROBERTA)) | dict(cls_token="<s>", sep_token="</s>", model_max_length=128)


def of_roberta_ids():
    return dict(pad_token_id=1, bos_token_id=0, eos_token_id=2)


def of_bert():
    return dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], BERT)) | dict(model_max_length=128)


def save_tokenizer(folder, tokenizer, special):
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def save_model(folder, kind, config):
    torch.manual_seed(0)
    kind(config).save_pretrained(folder)
