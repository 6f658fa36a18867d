//! `finetuned status`: the daemon, its inboxes, and the jobs with their progress.

use crate::bulletin::{Bulletin, InboxNews};
use crate::cli::Exit;
use crate::home::Home;
use crate::progress::{self, Progress};
use crate::queue::{Job, Queue, State};
use crate::report::Report;
use crate::{run_facts, words};
use anyhow::Result;
use serde_json::{Value, json};

/// Jobs shown of each kind, unless all are asked for.
const SHOWN: usize = 10;

pub(super) fn status(home: &Home, all: bool, as_json: bool, report: &mut Report) -> Result<Exit> {
    let bulletin = Bulletin::read(home);
    let (jobs, counts) = match Queue::open_to_read(&home.database())? {
        Some(queue) => (if all { queue.all()? } else { queue.overview(SHOWN)? }, queue.counts()?),
        None => (vec![], vec![]),
    };
    if as_json {
        let counts: serde_json::Map<String, Value> =
            counts.into_iter().map(|(state, n)| (state, n.into())).collect();
        let jobs: Vec<Value> = jobs.iter().map(|it| job_json(home, it)).collect();
        report.json(
            &json!({ "home": home.root, "daemon": bulletin, "counts": counts, "jobs": jobs }),
        )?;
        return Ok(Exit::Done);
    }
    match &bulletin {
        Some(it) => report.line(&format!(
            "daemon   runs since {}, process {}, home {}",
            words::moment(it.since_ms),
            it.pid,
            home.root.display()
        ))?,
        None => report.line(&format!("daemon   does not run; home {}", home.root.display()))?,
    }
    if let Some(it) = bulletin.as_ref().filter(|it| !it.limits.is_empty()) {
        report.line(&format!("limits   {}", it.limits))?;
    }
    if let Some(trouble) = bulletin.as_ref().and_then(|it| it.trouble.as_ref()) {
        report.line(&format!("trouble  {trouble}"))?;
    }
    for remark in bulletin.iter().flat_map(|it| &it.remarks) {
        report.line(&format!("remark   {remark}"))?;
    }
    if let Some(it) = bulletin.as_ref().and_then(|it| it.copying.as_ref()) {
        report.line(&format!(
            "copying  {} for job {}: {} of {}",
            it.name,
            it.job,
            words::bytes(it.bytes),
            words::bytes(it.total)
        ))?;
    }
    for inbox in bulletin.iter().flat_map(|it| &it.inboxes) {
        inbox_lines(inbox).iter().try_for_each(|it| report.line(it))?;
    }
    if counts.is_empty() {
        report.line("jobs     none yet: drop a data set into an inbox")?;
        return Ok(Exit::Done);
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, n)| format!("{} {state}", words::count(*n))).collect();
    report.line(&format!("jobs     {}", counts.join(", ")))?;
    report.line("")?;
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|it| {
            vec![
                it.id.to_string(),
                it.state.name().into(),
                it.name.clone(),
                importance(it),
                remark(home, it),
            ]
        })
        .collect();
    report.lines(&words::table(&rows))?;
    Ok(Exit::Done)
}

fn inbox_lines(inbox: &InboxNews) -> Vec<String> {
    let mut lines = vec![format!(
        "inbox    {}{}",
        inbox.path.display(),
        if inbox.waiting == 0 {
            String::new()
        } else {
            format!(", {} waiting", words::count(inbox.waiting as u64))
        }
    )];
    lines.extend(inbox.unclaimable.iter().map(|it| format!("         CLOSED: {it}")));
    lines.extend(
        inbox.polled.iter().map(|it| format!("         looked at every few seconds: {it}")),
    );
    lines.extend(inbox.quiet.iter().map(|it| format!("         quiet hours {it}: its jobs wait")));
    lines.extend(
        inbox.refused.iter().map(|it| format!("         {} is left alone: {}", it.name, it.why)),
    );
    if 0 < inbox.refused_more {
        let more = words::count(inbox.refused_more as u64);
        lines.push(format!("         and {more} others are left alone"));
    }
    lines
}

/// Of a job that is not over, where it is not that of all others.
fn importance(job: &Job) -> String {
    if job.priority == 0 || job.state.is_over() {
        return String::new();
    }
    format!("priority {:+}", job.priority)
}

/// What matters most about a job, in one line.
pub(super) fn remark(home: &Home, job: &Job) -> String {
    let run = home.runs().join(&job.run);
    match &job.state {
        State::Running { .. } => progress::of(&run).sentence(),
        State::Done => match run_facts::done(&run) {
            Ok(done) => format!(
                "{} {} on {}",
                done.metric,
                words::score(done.score, done.scores.intervals.get(&done.metric)),
                done.split.name()
            ),
            Err(err) => format!("{err:#}"),
        },
        other => other.reason().unwrap_or("").to_string(),
    }
}

pub(super) fn job_json(home: &Home, job: &Job) -> Value {
    let run = home.runs().join(&job.run);
    let mut value = json!({
        "id": job.id.0,
        "name": job.name,
        "state": job.state.name(),
        "reason": job.state.reason(),
        "run": run,
        "source": job.source,
        "priority": job.priority,
        "attempt": job.attempt,
        "crashes": job.crashes,
        "created_ms": job.created_ms,
        "changed_ms": job.changed_ms,
    });
    if let State::Running { phase, pid, wanted } = &job.state {
        value["phase"] = phase.name().into();
        value["pid"] = (*pid).into();
        value["wanted"] = wanted.name().into();
        value["progress"] = progress_json(&progress::of(&run));
    }
    value
}

fn progress_json(it: &Progress) -> Value {
    json!({ "stage": it.stage, "done": it.done, "total": it.total, "step": it.step, "eta_s": it.eta_s })
}
