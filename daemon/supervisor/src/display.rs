//! How a job looks while it goes on, for whoever watches: a bar on a terminal, lines elsewhere, or
//! the events as they are. Bars and remarks go to stderr, what a program may read to stdout.

use crate::narrator::Narrator;
use crate::progress::{self, Progress};
use crate::report::{self, Report};
use finetuned_job::event::{Event, Line, Phase};
use finetuned_job::printable::printable;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::path::Path;

pub(crate) struct Display {
    style: Style,
    progress: Progress,
}

enum Style {
    Bar(ProgressBar),
    Lines(Narrator),
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
            Style::Lines(Narrator::new(false))
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
            Style::Bar(bar) => bar.println(printable(&format!("run {}", run.display()))),
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
                    report::complain(&format!("warning: {message}"));
                }
                Ok(())
            }
        }
    }

    /// A remark beside the work.
    pub fn say(&self, text: &str) {
        match &self.style {
            Style::Bar(bar) => bar.suspend(|| report::complain(text)),
            _ => report::complain(text),
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
            if let Some(text) = Narrator::new(false).words(line) {
                bar.println(printable(&text));
            }
        }
    }
}
