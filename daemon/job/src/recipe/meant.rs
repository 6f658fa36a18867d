//! Which key of a recipe one may be meant for that is not known where it stands: another library's
//! name of it, or a key of another table.

use super::{foreign, raw, readable};

/// More alike than this are a key and what is meant by it, of all keys that there are.
const ALIKE: f64 = 0.93;

/// As [`readable::Meant`].
pub(super) fn key(key: &str, table: &str) -> Option<String> {
    foreign::key(key, table).or_else(|| elsewhere(key)).or_else(|| alike(key, table))
}

/// The tables that have this very key.
fn elsewhere(key: &str) -> Option<String> {
    let found: Vec<&str> =
        raw::TABLES.iter().filter(|it| it.1().iter().any(|it| it == key)).map(|it| it.0).collect();
    let is_table = raw::TABLES.iter().any(|it| it.0 == key);
    match found[..] {
        [] => None,
        ["", ..] if is_table => {
            Some(format!(": it is a table of its own, {}", foreign::header(key)))
        }
        [""] => Some(": it belongs above all tables".into()),
        _ => {
            let headers: Vec<String> =
                found.iter().filter(|it| !it.is_empty()).map(|it| foreign::header(it)).collect();
            Some(format!(": it belongs in {}", headers.join(" or ")))
        }
    }
}

/// A key of another table, where none of its own is as near.
fn alike(key: &str, table: &str) -> Option<String> {
    let own = raw::keys_of(table);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    if readable::nearest(key, &own, ALIKE).is_some() {
        return None;
    }
    raw::TABLES.iter().filter(|it| !it.0.is_empty()).find_map(|(other, keys)| {
        let keys = keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let near = readable::nearest(key, &keys, ALIKE)?;
        Some(format!(": did you mean `{near}` in {}?", foreign::header(other)))
    })
}

#[cfg(test)]
mod tests {
    use crate::recipe::Recipe;
    use crate::recipe::tests::refused;

    #[test]
    fn names_of_other_libraries_are_known() {
        refused(
            "[train]\ngradient_accumulation_steps = 4",
            "line 2: unknown key `gradient_accumulation_steps` in [train]: it is `accumulate` here, batches in one update",
        );
        refused(
            "[train]\nwarmup_steps = 100",
            "line 2: unknown key `warmup_steps` in [train]: it is `warmup` here, a part of all steps, as 0.06, and no number of them",
        );
        refused(
            "learning_rate = 1e-4",
            "line 1: unknown key `learning_rate`: it is `lr` in [train] here",
        );
        refused(
            "train.fp16 = true",
            "line 1: unknown key `fp16` in [train]: it is `precision` here, which has bf16, and no fp16",
        );
        refused(
            "[adapter]\nlora_target = 'all'",
            "line 2: unknown key `lora_target` in [adapter]: it is `target_modules` here, \"all-linear\" or a list of names",
        );
        refused(
            "[adapter]\ndropout = 0.1",
            "line 2: unknown key `dropout` in [adapter]: it is `lora_dropout` here",
        );
        refused(
            "[grpo]\nmax_prompt_length = 128",
            "line 2: unknown key `max_prompt_length` in [grpo]: it is `max_tokens` in [data] here, of prompt and answer together",
        );
        refused(
            "stage = 'sft'",
            "line 1: unknown key `stage`: it is `task` here, above all tables, as \"text-generation\" or \"preference\"",
        );
        refused(
            "[lora]\nr = 8",
            "line 1: unknown key `lora`: it is [adapter] here, a table whose keys are peft's, as r and lora_alpha",
        );
        refused(
            "output-dir = 'out'",
            "line 1: unknown key `output-dir`: what comes of a job lies in its run folder",
        );
    }

    #[test]
    fn a_key_of_another_table_is_named_with_it() {
        refused("lr = 1e-4", "line 1: unknown key `lr`: it belongs in [train]");
        refused("beta = 0.1", "line 1: unknown key `beta`: it belongs in [train] or [grpo]");
        refused("[train]\nr = 8", "line 2: unknown key `r` in [train]: it belongs in [adapter]");
        refused(
            "[train]\ntask = 'grpo'",
            "line 2: unknown key `task` in [train]: it belongs above all tables",
        );
        refused(
            "[train.adapter]\nr = 8",
            "line 1: unknown key `adapter` in [train]: it is a table of its own, [adapter]",
        );
        refused("pattern = 'a'", "line 1: unknown key `pattern`: it belongs in [[reward]]");
        refused("epoch = 3", "line 1: unknown key `epoch`: did you mean `epochs` in [train]?");
        refused(
            "train = { ephocs = 3 }",
            "line 1: unknown key `ephocs` in [train]: did you mean `epochs`?",
        );
    }

    #[test]
    fn values_of_another_kind_are_refused_in_plain_words() {
        refused(
            "adapter = 'lora'",
            "line 1: adapter is \"lora\", but is a table: write [adapter] on a line of its own, and its keys below it",
        );
        refused(
            "[reward]\nname = 'json'",
            "line 1: [reward] is one table, but there may be several: write [[reward]] in its place",
        );
        refused(
            "[train]\nepochs = 2.5",
            "line 2: train.epochs is 2.5, but must be a whole number, 0 or more",
        );
        refused("train.refit = 'yes'", "line 1: train.refit is \"yes\", but must be true or false");
        refused("[data]\nlabel = 3", "line 2: data.label is 3, but must be a text in quotes");
        refused("data = { label = 3 }", "line 1: data.label is 3, but must be a text in quotes");
        refused("[augment]\ncrop = [0.5]", "line 2: augment.crop has 1 values, but must have 2");
        refused(
            "[freeze]\nunfreeze = [{ train = ['all'] }]",
            "line 2: freeze.unfreeze has no `epoch`",
        );
        refused(
            "[train]\nepochs = -1",
            "line 2: train.epochs is -1, but must be a whole number, 0 or more",
        );
    }

    #[test]
    fn tasks_have_other_names_elsewhere() {
        let starts = |task: &str, message: &str| {
            let refusal = Recipe::parse(&format!("task = '{task}'")).unwrap_err().to_string();
            assert!(refusal.starts_with(message), "{refusal}");
        };
        starts(
            "sft",
            "line 1: task `sft` is no task: it is `text-generation` here; there are text",
        );
        starts(
            "dpo",
            "line 1: task `dpo` is no task: it is `preference`, with loss = \"dpo\" in [train] here",
        );
        starts(
            "CAUSAL_LM",
            "line 1: task `CAUSAL_LM` is no task: it is `causal-language-modeling`",
        );
        starts(
            "tekst-generation",
            "line 1: task `tekst-generation` is no task: did you mean `text",
        );
    }
}
