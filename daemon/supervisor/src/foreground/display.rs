//! How work in the foreground looks while it goes on: a bar on a terminal, lines elsewhere, or the
//! events as they are. Bars and remarks go to stderr, what a program may read to stdout.

use crate::commands::Teller;
use crate::progress::{self, Progress};
use crate::report::Report;
use crate::words;
use finetuned_job::data::DataReport;
use finetuned_job::event::{Event, Line, Phase};
use finetuned_job::plan::Plan;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::path::Path;

pub(super) struct Display {
    style: Style,
    progress: Progress,
}

enum Style {
    Bar(ProgressBar),
    Lines(Teller),
    Json,
    /// No terminal and an answer to come: only warnings.
    Quiet,
}

impl Display {
    pub fn new(as_json: bool) -> Display {
        let style = if as_json {
            Style::Json
        } else if io::stderr().is_terminal() {
            Style::Bar(bar())
        } else {
            Style::Lines(Teller::new(false))
        };
        Display { style, progress: Progress::default() }
    }

    /// For commands whose stdout is their answer.
    pub fn quiet() -> Display {
        let style = if io::stderr().is_terminal() { Style::Bar(bar()) } else { Style::Quiet };
        Display { style, progress: Progress::default() }
    }

    pub fn begin(&mut self, run: &Path, report: &mut Report) -> io::Result<()> {
        match &self.style {
            Style::Bar(bar) => bar.println(format!("run {}", run.display())),
            Style::Lines(_) => report.line(&format!("run {}", run.display()))?,
            Style::Json | Style::Quiet => {}
        }
        Ok(())
    }

    pub fn show(&mut self, line: &Line, report: &mut Report) -> io::Result<()> {
        self.progress.tell(line.event.clone());
        match &mut self.style {
            Style::Json => report.json(line),
            Style::Lines(teller) => match teller.words(line) {
                Some(text) => report.line(&text),
                None => Ok(()),
            },
            Style::Bar(bar) => {
                draw(bar, &self.progress, line);
                Ok(())
            }
            Style::Quiet => {
                if let Event::Warning { message } = &line.event {
                    eprintln!("finetuned: warning: {message}");
                }
                Ok(())
            }
        }
    }

    /// A remark beside the work.
    pub fn say(&self, text: &str) {
        match &self.style {
            Style::Bar(bar) => bar.suspend(|| eprintln!("finetuned: {text}")),
            _ => eprintln!("finetuned: {text}"),
        }
    }

    pub fn end(&self) {
        if let Style::Bar(bar) = &self.style {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:.bold} {wide_bar} {percent:>3} %  {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn draw(bar: &ProgressBar, progress: &Progress, line: &Line) {
    match &line.event {
        Event::Phase { phase, total } => {
            bar.reset();
            bar.set_length(total.unwrap_or(0));
            bar.set_message(progress::stage_name(*phase));
        }
        Event::Progress { .. } => {
            bar.set_length(progress.total.unwrap_or(progress.done));
            bar.set_position(progress.done);
        }
        Event::Step(step) => {
            bar.set_length(step.steps);
            bar.set_position(step.step);
            bar.set_message(format!(
                "{}, epoch {:.1}, loss {:.3}",
                progress::stage_name(Phase::Training),
                step.epoch,
                step.loss
            ));
        }
        _ => {
            if let Some(text) = Teller::new(false).words(line) {
                bar.println(text);
            }
        }
    }
}

/// The data report and the plan of `finetuned check`.
pub(super) fn findings(data: &DataReport, plan: &Plan) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, text: String| rows.push(vec![name.to_string(), text]);
    row("drop", format!("{}, {}", data.source, data.format));
    for file in &data.files {
        let encoding = file.encoding.as_ref().map_or_else(String::new, |it| format!(", {it}"));
        row(
            "file",
            format!(
                "{}: {} rows, {}{encoding}",
                file.path,
                words::count(file.rows),
                words::bytes(file.bytes)
            ),
        );
    }
    if let (Some(text), Some(label)) = (&data.text_column, &data.label_column) {
        row("columns", format!("text `{text}`, label `{label}`"));
    }
    for split in &data.splits {
        row(
            "split",
            format!("{}: {} ({})", split.split.name(), words::count(split.rows), split.origin),
        );
    }
    for class in &data.classes {
        row(
            "class",
            format!(
                "{}: {} in training, {} in validation, {} in test",
                class.class, class.train, class.validation, class.test
            ),
        );
    }
    let found = &data.duplicates;
    row(
        "duplicates",
        format!(
            "{} within splits, {} leaked and dropped, {} with two labels",
            found.within_splits,
            found.leaked_dropped + found.leaked_validation_dropped,
            found.conflicting_labels
        ),
    );
    row("empty", format!("{} texts", data.empty_texts));
    row("quarantined", format!("{} rows", data.quarantined.count));
    for it in data.quarantined.shown.iter().take(5) {
        row(
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
        row(
            "tokens",
            format!(
                "median {}, 90 % up to {}, longest {}; {} cut at {}",
                it.median, it.p90, it.longest, it.cut, it.max_tokens
            ),
        );
    }
    row("model", format!("{}, {}", plan.model.base, plan.model.architecture));
    let kept = if plan.freeze.cached { ", the frozen body runs once" } else { "" };
    row(
        "trains",
        format!(
            "{} tensors, {} parameters; {} frozen{kept}",
            plan.freeze.trainable.len(),
            words::count(plan.freeze.trainable_parameters),
            words::count(plan.freeze.frozen_parameters)
        ),
    );
    row(
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
    row("chosen by", format!("{}, reported on {}", plan.eval.best, plan.eval.report_on.name()));
    if let Some(it) = &data.estimate {
        row(
            "estimate",
            format!(
                "{} and {} of memory ({})",
                words::seconds(it.seconds),
                words::bytes(it.memory_bytes),
                it.basis
            ),
        );
    }
    data.warnings.iter().for_each(|it| row("warning", it.clone()));
    words::table(&rows)
}
