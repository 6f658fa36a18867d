//! `finetuned doctor`: is everything there that the daemon needs? Each check gives a sentence, and
//! a cure where it found fault.

use super::ask;
use crate::bulletin::Bulletin;
use crate::cli::Exit;
use crate::config::Config;
use crate::home::Home;
use crate::machine::{self, Machine};
use crate::queue::Queue;
use crate::report::Report;
use crate::words;
use anyhow::{Context, Result, bail};
use finetuned_job::spec::{Action, Sandbox};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A base model, two checkpoints and a result of the smaller kind need about this much.
const SPACE_MIN: u64 = 2_000_000_000;
/// Fewer watches than that are used up by one editor.
const WATCHES_MIN: u64 = 1024;

struct Check {
    name: &'static str,
    found: Result<String>,
}

pub(super) fn doctor(home: &Home, as_json: bool, report: &mut Report) -> Result<Exit> {
    let config = Config::load(&home.root);
    let mut checks = vec![Check {
        name: "configuration",
        found: config.as_ref().map(configuration).map_err(|err| anyhow::anyhow!("{err:#}")),
    }];
    let writable = writable(home);
    // In a home that can't be used the rest would only say so again.
    if writable.is_ok() {
        checks.push(Check { name: "disk", found: space(&home.root) });
        checks.push(Check { name: "database", found: database(home) });
    }
    checks.insert(
        1,
        Check {
            name: "home",
            found: writable.context("give --home a folder of your own, or mend this one"),
        },
    );
    checks.push(Check { name: "file events", found: watches() });
    checks.push(Check { name: "machine", found: Ok(machine_words()) });
    if let Ok(config) = &config {
        checks.push(Check { name: "worker", found: worker(config) });
        checks.extend(
            config.inboxes.iter().map(|it| Check { name: "inbox", found: inbox(home, &it.path) }),
        );
    }
    checks.push(Check { name: "daemon", found: Ok(daemon(home)) });
    let healthy = checks.iter().all(|it| it.found.is_ok());
    if as_json {
        let list: Vec<Value> = checks.iter().map(to_json).collect();
        report.json(&json!({ "healthy": healthy, "checks": list }))?;
    } else {
        let row = |it: &Check| match &it.found {
            Ok(fact) => vec!["ok".into(), it.name.into(), fact.clone()],
            Err(fault) => vec!["FAULT".into(), it.name.into(), format!("{fault:#}")],
        };
        report.lines(&words::table(&checks.iter().map(row).collect::<Vec<_>>()))?;
    }
    Ok(if healthy { Exit::Done } else { Exit::Error })
}

fn to_json(check: &Check) -> Value {
    let text = check.found.as_ref().map_or_else(|fault| format!("{fault:#}"), Clone::clone);
    json!({ "check": check.name, "ok": check.found.is_ok(), "text": text })
}

fn configuration(config: &Config) -> String {
    let file = config
        .file
        .as_ref()
        .map_or_else(|| "no config.toml: all defaults".into(), |it| it.display().to_string());
    let memory = config.memory_bytes.map_or_else(|| "no limit".into(), words::bytes);
    format!(
        "{file}; {} at a time, {} threads and {memory} of memory each",
        config.workers, config.threads
    )
}

fn writable(home: &Home) -> Result<String> {
    home.create()?;
    let probe = home.root.join(".doctor");
    fs::write(&probe, "written by `finetuned doctor`")
        .and_then(|()| fs::remove_file(&probe))
        .with_context(|| format!("{} can't be written", home.root.display()))?;
    Ok(home.root.display().to_string())
}

fn space(root: &Path) -> Result<String> {
    let stat = rustix::fs::statvfs(root)
        .with_context(|| format!("asking for the space of {}", root.display()))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free < SPACE_MIN {
        bail!(
            "only {} are free at {}: runs need {} or more",
            words::bytes(free),
            root.display(),
            words::bytes(SPACE_MIN)
        );
    }
    Ok(format!("{} free", words::bytes(free)))
}

fn database(home: &Home) -> Result<String> {
    let queue = Queue::open(&home.database())?;
    queue.check(&home.database())?;
    let counts = queue.counts()?;
    let jobs: u64 = counts.iter().map(|(_, n)| n).sum();
    let backups = fs::read_dir(home.backups()).into_iter().flatten().flatten();
    let newest = backups.map(|it| it.file_name().to_string_lossy().into_owned()).max();
    let backup = newest.map_or_else(|| "no backup yet".into(), |it| format!("backup {it}"));
    Ok(format!("SQLite {}, {} jobs, {backup}", Queue::version(), words::count(jobs)))
}

fn watches() -> Result<String> {
    let limit = |name: &str| -> Result<u64> {
        let path = Path::new("/proc/sys/fs/inotify").join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        text.trim().parse().with_context(|| format!("reading {}", path.display()))
    };
    let (watches, instances) = (limit("max_user_watches")?, limit("max_user_instances")?);
    if watches < WATCHES_MIN {
        bail!(
            "fs.inotify.max_user_watches is {watches}: raise it with `sysctl fs.inotify.max_user_watches=65536`; until then inboxes are looked at by time"
        );
    }
    Ok(format!("{} watches, {instances} watchers", words::count(watches)))
}

fn machine_words() -> String {
    let machine = Machine::read();
    let memory = machine.memory_bytes.map_or_else(|| "unknown memory".into(), words::bytes);
    let group = machine::own_cgroup();
    // A container sees its own group as the root: no name, and limits all the same.
    let group = if group.is_empty() { group } else { format!(", cgroup {group}") };
    format!("{} cores, {memory}{group}", machine.cores)
}

fn worker(config: &Config) -> Result<String> {
    let path = config.worker.display();
    if !config.worker.exists() {
        bail!("{path} is missing: it belongs beside `finetuned`, or set `worker` in config.toml");
    }
    let (status, text) = ask(config, Action::Doctor, None)?;
    if !status.success() {
        bail!("{path} does not work ({status}): is libtorch where it was when it was built?");
    }
    let value: Value =
        serde_json::from_slice(&text).with_context(|| format!("reading the answer of {path}"))?;
    if value["worker"] != env!("CARGO_PKG_VERSION") {
        bail!(
            "{path} is of version {}, finetuned of {}: install both from one release",
            value["worker"],
            env!("CARGO_PKG_VERSION")
        );
    }
    if value["computes"] != true {
        bail!("libtorch computes a wrong matrix product: {text}", text = value);
    }
    let landlock = match (config.sandbox, value["landlock"].as_u64()) {
        (Sandbox::Off, _) => "sandbox off".into(),
        (_, Some(version)) if 0 < version => format!("sandbox with Landlock {version}"),
        (Sandbox::Required, _) => {
            bail!("`sandbox` is required, but this kernel has no Landlock: jobs will fail")
        }
        (Sandbox::Auto, _) => "no Landlock in this kernel: jobs read what this user may".into(),
    };
    let devices = value["cuda_devices"].as_u64().unwrap_or(0);
    Ok(format!(
        "{path}, libtorch {}, {} threads, {devices} CUDA devices, {landlock}",
        value["libtorch"].as_str().unwrap_or("?"),
        value["threads"]
    ))
}

fn inbox(home: &Home, path: &Path) -> Result<String> {
    use rustix::fs::{Access, access};
    if !path.exists() && path == home.inbox() {
        return Ok(format!("{}, made by `finetuned serve`", path.display()));
    }
    access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).with_context(|| {
        format!(
            "drops can't be taken from {}: make it, and give this user read and write permission",
            path.display()
        )
    })?;
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev()).ok();
    let far = if device(path) == device(&home.root) {
        ""
    } else {
        ", on another file system than the home: drops are copied"
    };
    Ok(format!("{}{far}", path.display()))
}

fn daemon(home: &Home) -> String {
    match Bulletin::read(home) {
        Some(it) => format!(
            "process {} serves since {}; limits: {}{}",
            it.pid,
            words::moment(it.since_ms),
            it.limits,
            it.trouble.map_or_else(String::new, |it| format!("; trouble: {it}"))
        ),
        None => "none serves this home now".into(),
    }
}
