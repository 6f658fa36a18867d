//! What `finetuned check` prints of a drop: what was found in it, and what would be done with it.

use crate::words;
use finetuned_job::data::DataReport;
use finetuned_job::plan::Plan;

/// Name and text of each line; a line without a name goes on with the one above it.
struct Rows(Vec<Vec<String>>);

impl Rows {
    fn add(&mut self, name: &str, text: String) {
        self.0.push(vec![name.to_string(), text]);
    }
}

/// A table of the data report and the plan.
pub(super) fn table(data: &DataReport, plan: &Plan) -> String {
    let mut rows = Rows(Vec::new());
    found(data, &mut rows);
    rows.add("task", words::task(plan.task.name, &data.task_reason));
    left_out(data, &mut rows);
    planned(plan, &mut rows);
    if let Some(it) = &data.estimate {
        rows.add(
            "estimate",
            format!(
                "{} and {} of memory ({})",
                words::seconds(it.seconds),
                words::bytes(it.memory_bytes),
                it.basis
            ),
        );
    }
    data.warnings.iter().for_each(|it| rows.add("warning", it.clone()));
    words::table(&rows.0)
}

fn found(data: &DataReport, rows: &mut Rows) {
    rows.add("drop", format!("{}, {}", data.source, data.format));
    for file in &data.files {
        let encoding = file.encoding.as_ref().map_or_else(String::new, |it| format!(", {it}"));
        rows.add(
            "file",
            format!(
                "{}: {} rows, {}{encoding}",
                file.path,
                words::count(file.rows),
                words::bytes(file.bytes)
            ),
        );
    }
    if data.text_column.is_some() && !data.target_columns.is_empty() {
        let [inputs, targets] =
            [&data.input_columns, &data.target_columns].map(|it| it.join("`, `"));
        rows.add("columns", format!("text `{inputs}`, label `{targets}`"));
    }
    for split in &data.splits {
        rows.add(
            "split",
            format!("{}: {} ({})", split.split.name(), words::count(split.rows), split.origin),
        );
    }
    for class in &data.classes {
        rows.add(
            "class",
            format!(
                "{}: {} in training, {} in validation, {} in test",
                class.class, class.train, class.validation, class.test
            ),
        );
    }
}

fn left_out(data: &DataReport, rows: &mut Rows) {
    let it = &data.duplicates;
    rows.add(
        "duplicates",
        format!(
            "{} within splits, {} leaked and dropped, {} with two labels",
            it.within_splits,
            it.leaked_dropped + it.leaked_validation_dropped,
            it.conflicting_labels
        ),
    );
    rows.add("empty", format!("{} texts", data.empty_texts));
    rows.add("quarantined", format!("{} rows", data.quarantined.count));
    for it in data.quarantined.shown.iter().take(5) {
        rows.add(
            "",
            format!(
                "{}{}: {}",
                it.file,
                it.line.map_or_else(String::new, |line| format!(":{line}")),
                it.reason
            ),
        );
    }
    if let Some(it) = &data.tokens {
        rows.add(
            "tokens",
            format!(
                "median {}, 90 % up to {}, longest {}; {} cut at {}",
                it.median, it.p90, it.longest, it.cut, it.max_tokens
            ),
        );
    }
}

fn planned(plan: &Plan, rows: &mut Rows) {
    rows.add("model", format!("{}, {}", plan.model.base, plan.model.architecture));
    let cached = if plan.freeze.cached { ", the frozen body runs once" } else { "" };
    rows.add(
        "trains",
        format!(
            "{} tensors, {} parameters; {} frozen{cached}",
            plan.freeze.trainable.len(),
            words::count(plan.freeze.trainable_parameters),
            words::count(plan.freeze.frozen_parameters)
        ),
    );
    rows.add(
        "plan",
        format!(
            "{} epochs, {} steps of {} examples, learning rate {:.1e}, seed {}",
            plan.train.epochs,
            plan.train.steps,
            plan.train.batch * plan.train.accumulate,
            plan.train.lr,
            plan.train.seed
        ),
    );
    rows.add(
        "chosen by",
        format!("{}, reported on {}", plan.eval.best, plan.eval.report_on.name()),
    );
}
