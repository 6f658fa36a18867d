//! What transformers, TRL, peft, LLaMA-Factory and Axolotl call what a recipe asks for, and what it
//! is called here. Nothing is read by these names: they only make a refusal say the right one,
//! since a key of another library may count in another unit.

/// Names of one setting in other libraries.
struct Foreign {
    /// In lower case, with `_`. `table.key` is only meant where it stands in that table.
    names: &'static [&'static str],
    /// `table.key` or `key`, or `[table]`; empty where there is no such thing here.
    ours: &'static str,
    /// What else is to be known, as an apposition; a clause of its own where `ours` is empty.
    note: &'static str,
}

const fn same(names: &'static [&'static str], ours: &'static str) -> Foreign {
    Foreign { names, ours, note: "" }
}

const fn noted(names: &'static [&'static str], ours: &'static str, note: &'static str) -> Foreign {
    Foreign { names, ours, note }
}

const fn absent(names: &'static [&'static str], note: &'static str) -> Foreign {
    Foreign { names, ours: "", note }
}

const KEYS: &[Foreign] = &[
    // How long, how many at a time, how fast.
    same(&["num_train_epochs", "num_epochs", "n_epochs", "max_epochs"], "train.epochs"),
    absent(&["max_steps", "total_steps"], "epochs in [train] says how long training is"),
    noted(
        &[
            "batch_size",
            "per_device_train_batch_size",
            "micro_batch_size",
            "train_batch_size",
            "per_device_batch_size",
        ],
        "train.batch",
        "examples in one forward pass",
    ),
    noted(
        &["gradient_accumulation_steps", "grad_accum", "gradient_accumulation", "accumulation"],
        "train.accumulate",
        "batches in one update",
    ),
    same(&["learning_rate", "base_lr", "init_lr"], "train.lr"),
    same(&["head_learning_rate", "classifier_lr"], "train.head_lr"),
    noted(
        &["lr_scheduler_type", "lr_scheduler", "scheduler"],
        "train.schedule",
        "linear, cosine or constant",
    ),
    same(&["warmup_ratio", "lr_warmup_ratio"], "train.warmup"),
    noted(
        &["warmup_steps", "num_warmup_steps", "lr_warmup_steps"],
        "train.warmup",
        "a part of all steps, as 0.06, and no number of them",
    ),
    noted(&["warmup_epochs"], "train.warmup", "a part of all steps, as 0.06"),
    noted(&["optim", "optimizer_type", "optimizer_name"], "train.optimizer", "adamw, adam or sgd"),
    noted(
        &["adam_beta1", "adam_beta2", "beta1", "beta2"],
        "train.betas",
        "both in one list, [0.9, 0.999]",
    ),
    same(&["adam_epsilon", "adam_eps", "epsilon_adam"], "train.eps"),
    same(
        &["max_grad_norm", "gradient_clipping", "grad_clip", "gradient_clip_val", "clip_grad_norm"],
        "train.clip",
    ),
    same(
        &["label_smoothing_factor", "dpo_label_smoothing", "label_smooth"],
        "train.label_smoothing",
    ),
    same(&["class_weight"], "train.class_weights"),
    noted(
        &["early_stopping_patience", "early_stopping", "early_stop"],
        "train.patience",
        "evaluations without a better score",
    ),
    same(&["random_seed", "random_state", "data_seed"], "train.seed"),
    // In which numbers.
    noted(&["bf16", "mixed_precision", "amp"], "train.precision", "\"bf16\", \"fp32\" or \"auto\""),
    noted(&["fp16", "float16", "half"], "train.precision", "which has bf16, and no fp16"),
    noted(&["tf32"], "train.precision", "of which \"bf16\" is TF32 on a GPU"),
    noted(&["torch_dtype", "compute_dtype"], "model.dtype", "\"bf16\", \"fp32\" or \"auto\""),
    noted(
        &[
            "load_in_4bit",
            "load_in_8bit",
            "use_qlora",
            "qlora",
            "quantization_bit",
            "quantization_config",
            "bnb_4bit_compute_dtype",
            "bnb_4bit_quant_type",
        ],
        "model.dtype",
        "which has no 4 or 8 bits: \"bf16\" is the smallest",
    ),
    same(
        &[
            "use_gradient_checkpointing",
            "activation_checkpointing",
            "disable_gradient_checkpointing",
        ],
        "train.gradient_checkpointing",
    ),
    // The base.
    noted(
        &[
            "base_model",
            "model_name_or_path",
            "model_name",
            "model_id",
            "model_path",
            "pretrained_model_name_or_path",
            "adapter_name_or_path",
            "lora_model_dir",
            "checkpoint",
        ],
        "model.base",
        "a folder or \"hf:OWNER/NAME\"",
    ),
    noted(
        &["model_revision", "revision", "revision_of_model"],
        "model.base",
        "\"hf:OWNER/NAME@REVISION\"",
    ),
    absent(
        &["tokenizer", "tokenizer_name", "tokenizer_type", "model_type", "trust_remote_code"],
        "the base's own files say it: leave the key out",
    ),
    same(
        &["hidden_dropout", "hidden_dropout_prob", "classifier_dropout", "hidden_dropout_rate"],
        "model.dropout",
    ),
    same(&["attention_probs_dropout_prob"], "model.attention_dropout"),
    same(&["resolution", "input_size", "img_size"], "model.image_size"),
    // What trains.
    same(&["rank", "lora_r", "lora_rank", "adapter.lora_dim", "lora_dim"], "adapter.r"),
    same(&["alpha", "adapter.scale"], "adapter.lora_alpha"),
    same(&["adapter.dropout"], "adapter.lora_dropout"),
    noted(
        &[
            "lora_target",
            "lora_target_modules",
            "lora_target_linear",
            "target_linear",
            "adapter.target",
            "adapter.targets",
            "adapter.modules",
        ],
        "adapter.target_modules",
        "\"all-linear\" or a list of names",
    ),
    same(
        &["lora_modules_to_save", "additional_target", "additional_trainable"],
        "adapter.modules_to_save",
    ),
    same(&["dora", "peft_use_dora"], "adapter.use_dora"),
    same(&["rslora", "rank_stabilized_lora", "peft_use_rslora"], "adapter.use_rslora"),
    same(&["lora_bias"], "adapter.bias"),
    noted(
        &["lora", "peft", "use_lora", "use_peft", "peft_config", "lora_config", "lora_adapter"],
        "[adapter]",
        "a table whose keys are peft's, as r and lora_alpha",
    ),
    noted(
        &["finetuning_type", "adapter_type"],
        "adapter.peft_type",
        "and without [adapter] all weights train",
    ),
    noted(
        &["unfrozen_parameters", "freeze_trainable_layers", "trainable_layers", "train_layers"],
        "freeze.train",
        "a list as [\"head\", \"last:2\"]",
    ),
    same(&["layerwise_lr_decay", "llrd", "layer_lr_decay", "lr_layer_decay"], "freeze.layer_decay"),
    // The data.
    same(
        &[
            "cutoff_len",
            "sequence_len",
            "sequence_length",
            "max_seq_length",
            "max_seq_len",
            "max_sequence_length",
            "max_length",
            "model_max_length",
            "block_size",
            "context_length",
        ],
        "data.max_tokens",
    ),
    noted(&["max_prompt_length"], "data.max_tokens", "of prompt and answer together"),
    noted(
        &["val_size", "val_set_size", "validation_split", "val_split", "eval_split", "val_ratio"],
        "data.validation",
        "a part of the examples, as 0.1",
    ),
    noted(
        &["test_size", "test_split", "test_ratio"],
        "data.test",
        "a part of the examples, as 0.1",
    ),
    same(
        &["dataset_text_field", "text_column", "text_column_name", "text_field", "text_columns"],
        "data.text",
    ),
    same(
        &["label_column", "label_column_name", "label_field", "target_column", "label_name"],
        "data.label",
    ),
    same(&["label_columns", "label_names", "target_columns"], "data.labels"),
    same(&["image_column", "image_column_name"], "data.image"),
    absent(
        &[
            "dataset",
            "datasets",
            "dataset_name",
            "dataset_dir",
            "dataset_path",
            "data_path",
            "data_dir",
            "data_files",
            "train_file",
            "validation_file",
            "test_file",
        ],
        "the data are what lies in the drop beside job.toml",
    ),
    absent(
        &["template", "chat_template", "prompt_template", "prompt_style"],
        "conversations take the base's own chat template",
    ),
    absent(
        &["num_labels", "id2label", "label2id", "num_classes"],
        "classes are read from the data",
    ),
    // What is learnt of answers.
    noted(
        &[
            "train_on_inputs",
            "train_on_prompt",
            "assistant_only_loss",
            "completion_only_loss",
            "train_on_responses_only",
            "roles_to_train",
            "mask_history",
            "mask_prompt",
        ],
        "train.on",
        "\"assistant\", \"completions\" or \"all\"",
    ),
    same(
        &["pref_beta", "rl_beta", "dpo_beta", "kto_beta", "orpo_alpha", "orpo_beta"],
        "train.beta",
    ),
    same(&["simpo_gamma"], "train.gamma"),
    noted(
        &["pref_loss", "dpo_loss", "train.loss_type"],
        "train.loss",
        "\"dpo\", \"ipo\", \"kto\", \"orpo\" or \"simpo\"",
    ),
    same(
        &["max_new_tokens", "response_length", "max_response_length"],
        "grpo.max_completion_length",
    ),
    same(&["kl_coef", "kl_beta", "kl_loss_coef"], "grpo.beta"),
    same(&["cliprange", "clip_range", "clip_ratio"], "grpo.epsilon"),
    same(&["group_size", "num_samples", "n_samples"], "grpo.num_generations"),
    noted(&["reward_model", "reward_model_path"], "reward.model", "a key of a [[reward]]"),
    noted(&["reward_weights"], "reward.weight", "a key of each [[reward]]"),
    noted(&["reward_funcs", "reward_functions", "rewards"], "[[reward]]", "one table for each"),
    // When, and what is left.
    same(&["eval_steps", "evaluation_steps", "eval_interval"], "eval.every_steps"),
    same(&["metric_for_best_model", "best_metric", "monitor"], "eval.best"),
    same(&["save_steps", "save_interval", "checkpoint_steps"], "save.every_steps"),
    same(&["save_total_limit", "save_limit"], "save.keep"),
    noted(
        &["save_strategy", "eval_strategy", "evaluation_strategy"],
        "save.every_steps",
        "or every_epochs there, and every_steps in [eval]",
    ),
    absent(&["load_best_model_at_end"], "the best step is always taken, by best in [eval]"),
    noted(
        &["merge_lora", "merge_adapter", "save_merged"],
        "save.adapter",
        "which is false where an adapter is merged",
    ),
    same(&["gguf_quantization", "quantization_method", "export_gguf"], "save.gguf"),
    absent(
        &["output_dir", "output_path", "overwrite_output_dir", "run_name", "hub_model_id"],
        "what comes of a job lies in its run folder",
    ),
    absent(
        &[
            "packing",
            "sample_packing",
            "pad_to_sequence_len",
            "group_by_length",
            "deepspeed",
            "fsdp",
            "flash_attention",
            "flash_attn",
            "attn_implementation",
            "report_to",
            "logging_steps",
            "logging_dir",
            "dataloader_num_workers",
            "preprocessing_num_workers",
            "per_device_eval_batch_size",
            "eval_batch_size",
            "push_to_hub",
            "do_train",
            "do_eval",
            "remove_unused_columns",
        ],
        "there is nothing like it here: leave the key out",
    ),
    // Images.
    same(&["mixup_alpha"], "augment.mixup"),
    same(&["cutmix_alpha"], "augment.cutmix"),
    same(&["hflip", "flip"], "augment.horizontal_flip"),
    same(&["vflip"], "augment.vertical_flip"),
    same(&["reprob", "random_erasing"], "augment.erasing"),
    noted(&["color_jitter"], "augment.brightness", "beside contrast, saturation and hue"),
    // The task, and tables.
    noted(
        &["stage", "rl", "task_type", "task_name", "training_type", "pipeline_tag", "problem_type"],
        "task",
        "as \"text-generation\" or \"preference\"",
    ),
    same(
        &["training", "trainer", "training_arguments", "hyperparameters", "sft", "dpo"],
        "[train]",
    ),
    same(&["evaluation"], "[eval]"),
    same(&["augmentation", "augmentations"], "[augment]"),
    same(&["checkpoints", "checkpointing"], "[save]"),
];

/// Names of kinds of training, and what a recipe says for them.
const TASKS: &[(&[&str], &str)] = &[
    (
        &[
            "sft",
            "chat",
            "chatbot",
            "instruct",
            "instruction",
            "instruction-tuning",
            "supervised-fine-tuning",
            "conversation",
            "conversational",
            "generation",
            "text2text-generation",
            "seq2seq",
            "seq-2-seq-lm",
            "summarization",
            "translation",
            "question-answering",
            "qa",
        ],
        "`text-generation`",
    ),
    (&["dpo", "preference-optimization", "rlhf"], "`preference`, with loss = \"dpo\" in [train]"),
    (&["ipo"], "`preference`, with loss = \"ipo\" in [train]"),
    (&["kto"], "`preference`, with loss = \"kto\" in [train]"),
    (&["orpo"], "`preference`, with loss = \"orpo\" in [train]"),
    (&["simpo"], "`preference`, with loss = \"simpo\" in [train]"),
    (&["rm", "reward", "reward-model", "reward-trainer"], "`reward-modeling`"),
    (&["rl", "rlvr", "ppo", "rloo"], "`grpo`, with a [[reward]],"),
    (
        &[
            "pretrain",
            "pretraining",
            "pt",
            "continued-pretraining",
            "completion",
            "lm",
            "clm",
            "causal-lm",
            "language-modeling",
            "language-model",
        ],
        "`causal-language-modeling`, or `text-generation` of conversations,",
    ),
    (&["mlm", "masked-lm", "fill-mask"], "`masked-language-modeling`"),
    (
        &[
            "ner",
            "pos",
            "tagging",
            "token-cls",
            "sequence-labeling",
            "named-entity-recognition",
            "pos-tagging",
        ],
        "`token-classification`",
    ),
    (
        &["classification", "classifier"],
        "`text-classification`, `text-pair-classification` or `image-classification`",
    ),
    (
        &["seq-cls", "sequence-classification", "sentiment", "sentiment-analysis"],
        "`text-classification`",
    ),
    (
        &["multilabel", "multi-label", "multi-label-classification", "multilabel-classification"],
        "`text-multi-label-classification` or `image-multi-label-classification`",
    ),
    (&["regression"], "`text-regression`, `text-pair-regression` or `image-regression`"),
    (&["sts", "sentence-similarity", "similarity"], "`text-pair-regression`"),
    (&["nli", "paraphrase", "entailment"], "`text-pair-classification`"),
];

/// What a key is called here that stands in `table` (empty: in none), as the end of a refusal.
pub(super) fn key(key: &str, table: &str) -> Option<String> {
    let key = key.to_lowercase().replace('-', "_");
    let dotted = format!("{table}.{key}");
    let of = |name: &str| KEYS.iter().find(|it| it.names.contains(&name));
    let found = of(&dotted).or_else(|| of(&key))?;
    let note = |before: &str| match found.note {
        "" => String::new(),
        note => format!("{before}{note}"),
    };
    Some(match (found.ours, found.ours.split_once('.')) {
        ("", _) => note(": "),
        (ours, _) if ours.starts_with('[') => format!(": it is {ours} here{}", note(", ")),
        (_, Some((there, ours))) if there == table => {
            format!(": it is `{ours}` here{}", note(", "))
        }
        (_, Some((there, ours))) => {
            format!(": it is `{ours}` in {} here{}", header(there), note(", "))
        }
        (ours, None) => format!(": it is `{ours}` here, above all tables{}", note(", ")),
    })
}

/// What a task is called here, as the end of a refusal.
pub(super) fn task(name: &str) -> Option<String> {
    let name = name.to_lowercase().replace(['_', ' '], "-");
    let found = TASKS.iter().find(|it| it.0.contains(&name.as_str()))?;
    Some(format!(": it is {} here", found.1.trim_end_matches(',')))
}

/// As it begins in a recipe.
pub(super) fn header(table: &str) -> String {
    match table {
        "reward" => "[[reward]]".into(),
        _ => format!("[{table}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::raw;
    use crate::task::Task;

    #[test]
    fn what_is_named_is_there() {
        for Foreign { names, ours, note } in KEYS {
            assert!(!ours.is_empty() || !note.is_empty(), "{names:?}");
            let table = ours.trim_matches(['[', ']']);
            let is_known = match ours.split_once('.') {
                Some((table, key)) => raw::keys_of(table).iter().any(|it| it == key),
                None => ours.is_empty() || raw::keys_of("").iter().any(|it| it == table),
            };
            assert!(is_known, "{names:?}: {ours}");
        }
        let tasks = TASKS.iter().flat_map(|it| it.1.split('`').skip(1).step_by(2));
        assert_eq!(tasks.filter(|it| Task::named(it).is_none()).count(), 0);
    }

    #[test]
    fn no_name_stands_twice_or_is_ours_there() {
        let names: Vec<&str> = KEYS.iter().flat_map(|it| it.names).copied().collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name}");
            let (table, key) = name.split_once('.').unwrap_or(("", name));
            assert!(!raw::keys_of(table).iter().any(|it| it == key), "{name} is a key");
            let is_other = |table: &str| raw::keys_of(table).iter().any(|it| it == key);
            assert!(!table.is_empty() || !raw::TABLES.iter().any(|it| is_other(it.0)), "{name}");
        }
    }
}
