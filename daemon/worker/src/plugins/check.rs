//! The action `check_plugin`: opens one plugin and tries everything that it exports, telling before
//! each thing what it is about to try. What is tried of each kind stands in the modules; how a
//! worker that the plugin ended is explained is left to who started it.

mod heads;
mod losses;
mod metrics;
mod others; // readers, hooks, augmentations, rewards
mod slopes; // gradients by finite differences
mod targets; // what is true
mod teller; // probes -> lines on stdout
mod watch; // memory, threads, time

use super::opened::{Item, Opened};
use super::problem::words;
use super::{Log, Plugins};
use anyhow::{Context, Result};
use finetuned_job::plugin_check::Line;
use finetuned_job::run_folder;
use finetuned_job::spec::Spec;
use finetuned_job::task::Answer;
use finetuned_plugins::Kind;
use finetuned_sdk::abi;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use teller::{Outcome, Seen, Teller};

/// A plugin that takes longer to open makes every job of its users start later.
const LOADING_MS_MAX: f64 = 20.0;
/// Calls, after as many to warm up, in which memory must stand still.
const CALLS: u32 = 10_000;

/// So many times more where memory grew: an allocator that is settling comes to rest meanwhile, a
/// leak does not.
const SETTLING_ROUNDS: u32 = 7;
/// A slow plugin is looked at for so long at most, as often as that goes.
const STEADY_MAX: Duration = Duration::from_secs(40);

/// One item under trial: its plugin, its name, and what it is tried for.
#[derive(Clone, Copy)]
struct Trial<'a> {
    plugins: &'a Plugins,
    name: &'a str,
    problem: Answer,
}

pub(crate) fn check(spec: &Spec, file: &Path) -> Result<()> {
    let mut teller = Teller::new()?;
    let (plugin, _) = finetuned_plugins::open_anywhere(file)
        .with_context(|| format!("{} is refused", file.display()))?;
    let subject = format!("plugin {}", plugin.descriptor.name);
    let call_s = spec.plugins.as_ref().map_or(60, |it| it.call_s);
    let page = super::CallPage::open(&spec.run.join(run_folder::PLUGIN_CALL), call_s)?;
    warm_up()?;
    let threads = watch::threads();

    let mut opened = None;
    teller.probe(&subject, "loading", || {
        let start = Instant::now();
        opened = Some(Opened::open(&plugin, &page, &log())?);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let found = format!("{ms:.1} ms");
        Ok(if ms <= LOADING_MS_MAX {
            Seen::Passed(found)
        } else {
            Seen::Noted(format!(
                "{found}; a job's start should not take more than {LOADING_MS_MAX} ms longer"
            ))
        })
    })?;
    let Some(opened) = opened else { return teller.tell(&Line::End) };
    let plugins = Plugins { opened: vec![opened], page: Some(page) };
    for item in plugins.opened.iter().flat_map(|it| &it.items) {
        try_item(&plugins, item, &mut teller)?;
    }
    teller.probe(&subject, "threads", || match watch::threads().saturating_sub(threads) {
        0 => Ok(Seen::Passed("none is left".into())),
        n => Err(format!("{n} of its threads still run after every instance was ended").into()),
    })?;
    let printed = teller.printed()?;
    teller.probe(&subject, "stdout", || match printed {
        None => Ok(Seen::Passed("nothing was printed".into())),
        Some(text) => Err(format!("it prints on stdout, which belongs to the worker: {text:?}; its log function is for that").into()),
    })?;
    teller.tell(&Line::End)
}

/// All that there is to try of it, for each problem that it claims.
fn try_item(plugins: &Plugins, item: &Item, teller: &mut Teller) -> Result<()> {
    let export = &item.export;
    let subject = format!("{} {}", export.kind.name(), export.name);
    let problems = item.functions.problems();
    if let Some(problems) = &problems {
        teller.probe(&subject, "problems", || {
            let claimed: Vec<&str> = problems.iter().copied().map(words).collect();
            if claimed.is_empty() {
                Err("it is made for nothing that this finetuned knows".to_string().into())
            } else {
                Ok(Seen::Passed(claimed.join(", ")))
            }
        })?;
    }
    // Readers, hooks, augmentations and rewards are the same for all.
    let problems = problems.unwrap_or_else(|| vec![Answer::Class]);
    for &problem in &problems {
        let trial = Trial { plugins, name: &export.name, problem };
        let subject = if problems.len() == 1 {
            subject.clone()
        } else {
            format!("{subject}, {}", words(problem))
        };
        match export.kind {
            Kind::Head => heads::check(trial, &subject, teller)?,
            Kind::Loss => losses::check(trial, &subject, teller)?,
            Kind::Metric => metrics::check(trial, &subject, teller)?,
            Kind::Reader => others::reader(trial, &subject, teller)?,
            Kind::Hook => others::hook(trial, &subject, teller)?,
            Kind::Augmentation => others::augmentation(trial, &subject, teller)?,
            Kind::Reward => others::reward(trial, &subject, teller)?,
        }
    }
    Ok(())
}

/// torch starts its own threads and fills its own caches on the first use of each part.
fn warm_up() -> Result<()> {
    let it =
        tch::Tensor::f_ones([4, 4], (tch::Kind::Float, tch::Device::Cpu))?.set_requires_grad(true);
    it.f_matmul(&it)?.f_sum(tch::Kind::Float)?.f_backward()?;
    Ok(())
}

fn log() -> Log {
    Arc::new(|plugin, level, line| {
        let level = match level {
            abi::LOG_ERROR => "error",
            abi::LOG_WARN => "warning",
            abi::LOG_INFO => "info",
            _ => "debug",
        };
        crate::stderr::say(&format!("{plugin}: {level}: {line}"));
    })
}

/// Ten thousand calls, after some to warm up, and again where memory grew and there is time:
/// memory, and how long one takes.
fn steady(mut call: impl FnMut() -> Result<(), teller::Fault>) -> Outcome {
    let mut run = |calls: u32| -> Result<(u32, Duration), teller::Fault> {
        let start = Instant::now();
        for done in 0..calls {
            if STEADY_MAX < start.elapsed() {
                return Ok((done, start.elapsed()));
            }
            call()?;
        }
        Ok((calls, start.elapsed()))
    };
    let start = Instant::now();
    run(CALLS / 4)?;
    let mut round = || -> Result<(u64, u32, Duration), teller::Fault> {
        let before = watch::resident_bytes();
        let (calls, took) = run(CALLS)?;
        Ok((watch::resident_bytes().saturating_sub(before), calls, took))
    };
    let (mut grown, mut calls, mut took) = round()?;
    for _ in 0..SETTLING_ROUNDS {
        if watch::GROWTH_BYTES_MAX < grown && start.elapsed() < STEADY_MAX {
            (grown, calls, took) = round()?;
        }
    }
    if watch::GROWTH_BYTES_MAX < grown {
        return Err(format!(
            "memory grew by {} kB in {calls} calls, {} bytes a call",
            grown / 1000,
            grown / u64::from(calls.max(1))
        )
        .into());
    }
    let found = format!(
        "grew by {} kB in {calls} calls of {:.2} \u{b5}s",
        grown / 1000,
        took.as_secs_f64() * 1e6 / f64::from(calls.max(1))
    );
    Ok(if calls == CALLS {
        Seen::Passed(found)
    } else {
        Seen::Noted(format!("{found}; no time for {CALLS}"))
    })
}
