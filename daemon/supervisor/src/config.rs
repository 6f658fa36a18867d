//! Decides what the supervisor may do here: `config.toml` in two stages (as typed, then checked),
//! with defaults from the machine. The only place that reads environment variables, and where the
//! home folder is found. Values of recipes are judged by `finetuned_job::recipe`.

mod raw;

use crate::hours::Hours;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::retention::Retention;
use anyhow::{Context, Result, bail};
use finetuned_job::bases;
use finetuned_job::recipe::{self, PRIORITIES, Recipe};
use finetuned_job::spec::{Device, FeatureCache, PluginRules, RecipeText, Sandbox};
use raw::{Raw, RawInbox, RawPlugins, RawRetention};
use rustix::fs::Gid;
use std::env;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tracing::Span;

/// A folder must hold still this long before it becomes a job: a copy still under way touches it
/// again sooner.
const SETTLE_DEFAULT: Duration = Duration::from_secs(5);
/// Events are hints that may be lost: after this time a drop is found without one.
const RESCAN_DEFAULT: Duration = Duration::from_secs(30);
/// systemd kills a service after 90 s: all workers must have written their checkpoints before.
const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// Nobody waits longer for a model; a recipe's `epochs` with a digit too many would.
const JOB_TIME_DEFAULT: Duration = Duration::from_secs(7 * 86_400);
/// The longest step that is not an event, reading a large file, takes minutes.
const SILENCE_DEFAULT: Duration = Duration::from_secs(3600);
/// More workers at a time than this is a typing error, not a machine.
const WORKERS_MAX: u32 = 64;
/// An inbox a thousand times as important as another is a typing error.
const WEIGHT_MAX: u32 = 100;
/// Less than a hundredth of a core is a typing error, and the kernel's least is a thousandth.
const CPUS_MIN: f64 = 0.01;
const CPUS_MAX: f64 = 4096.0;
/// The kernel's own limit for cpu.weight and io.weight.
const SHARE_MAX: u32 = 10_000;
/// Part of the memory that all workers together may take by default, in percent; the rest is for
/// the system.
const MEMORY_PERCENT: u64 = 80;
/// A call into a plugin sees one batch at most: what takes longer than this hangs.
const PLUGIN_CALL_S_DEFAULT: u32 = 300;
/// Of features kept on disk: 5,000 images before the last stage of a ResNet are 2 GB, before the
/// head 40 MB.
const FEATURE_CACHE_DEFAULT: u64 = 10_000_000_000;
/// blake3 as `b3sum` and `finetuned plugin list` print it.
const HASH_HEX_CHARS: usize = 64;
/// The system's configuration, for a home without one.
const SYSTEM_FILE: &str = "/etc/finetuned/config.toml";

/// Everything below is usable as it stands: paths absolute, recipes parsed, numbers in range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The file that it came from; absent: all defaults.
    pub file: Option<PathBuf>,
    pub inboxes: Vec<InboxConfig>,
    /// What holds for jobs of inboxes that are not listed any more, without a path.
    pub unlisted: InboxConfig,
    /// Of all queues together.
    pub limits: Limits,
    pub settle: Duration,
    pub rescan: Duration,
    pub stop_timeout: Duration,
    /// A worker without a word for so long hangs; absent: no limit.
    pub silence: Option<Duration>,
    /// Its members may read results.
    pub group: Option<Gid>,
    pub retention: Retention,
    /// Jobs at the same time.
    pub workers: u32,
    /// Cores' time of all workers together; absent: no limit.
    pub cpus: Option<f64>,
    /// For each worker.
    pub threads: u32,
    /// For each worker.
    pub memory_bytes: Option<u64>,
    pub device: Device,
    pub plugins: PluginRules,
    /// Patterns of base models that recipes in drops may name.
    pub bases: Vec<String>,
    pub features: Option<FeatureCache>,
    /// Disk space that must stay free; absent: see `copy::reserve_of`.
    pub reserve: Option<u64>,
    pub worker: PathBuf,
    pub sandbox: Sandbox,
    pub log: LogStyle,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InboxConfig {
    pub path: PathBuf,
    pub recipe: Option<RecipeText>,
    /// Turns that its jobs get while those of another inbox get one.
    pub weight: u32,
    /// The highest priority that a drop may ask for by itself.
    pub priority_max: i32,
    /// At the same time.
    pub jobs_max: Option<u32>,
    /// Of its queue.
    pub limits: Limits,
    /// Nothing of it runs then.
    pub quiet: Option<Hours>,
    /// Of all attempts at a job together; absent: no limit.
    pub job_time: Option<Duration>,
    /// Of a job.
    pub memory_bytes: Option<u64>,
    /// Cores' time of a job.
    pub cpus: Option<f64>,
    /// Beside jobs of other inboxes; absent: the kernel's 100.
    pub cpu_weight: Option<u32>,
    pub io_weight: Option<u32>,
}

impl InboxConfig {
    /// What is logged within it is found by its inbox.
    pub fn span(&self) -> Span {
        tracing::error_span!("inbox", inbox = %self.path.display())
    }

    /// With nothing said about it.
    pub fn at(path: PathBuf) -> InboxConfig {
        InboxConfig {
            path,
            recipe: None,
            weight: 1,
            priority_max: 0,
            jobs_max: None,
            limits: Limits::default(),
            quiet: None,
            job_time: None,
            memory_bytes: None,
            cpus: None,
            cpu_weight: None,
            io_weight: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogStyle {
    Human,
    Json,
}

impl Config {
    /// What holds for jobs whose drops lay there.
    pub fn inbox(&self, path: &Path) -> &InboxConfig {
        self.inboxes.iter().find(|it| it.path == path).unwrap_or(&self.unlisted)
    }

    /// The home's configuration, else the system's, else defaults.
    ///
    /// # Errors
    /// Names the file and the line.
    pub fn load(home: &Path) -> Result<Config> {
        let candidates = [home.join("config.toml"), PathBuf::from(SYSTEM_FILE)];
        let read = |path: &PathBuf| match fs::read_to_string(path) {
            Ok(text) => Some(Ok((path.clone(), text))),
            Err(err) if err.kind() == io::ErrorKind::NotFound => None,
            Err(err) => Some(Err(err).with_context(|| format!("reading {}", path.display()))),
        };
        let machine = Machine::read();
        match candidates.iter().find_map(read).transpose()? {
            Some((file, text)) => Config::parse(&text, &file, home, machine)
                .with_context(|| format!("the configuration {} can't be used", file.display())),
            None => Config::checked(Raw::default(), None, home, machine).map_err(|wrong| wrong.why),
        }
    }

    fn parse(text: &str, file: &Path, home: &Path, machine: Machine) -> Result<Config> {
        let raw = recipe::typed(text)?;
        Config::checked(raw, Some(file), home, machine).map_err(|wrong| {
            match recipe::line_of(text, wrong.field) {
                Some(line) => anyhow::anyhow!("line {line}: {:#}", wrong.why),
                None => wrong.why,
            }
        })
    }

    fn checked(
        raw: Raw,
        file: Option<&Path>,
        home: &Path,
        machine: Machine,
    ) -> Result<Config, Wrong> {
        let workers = within("workers", raw.workers.unwrap_or(1), 1, WORKERS_MAX)?;
        let cpus = raw.cpus.map(|it| within("cpus", it, CPUS_MIN, CPUS_MAX)).transpose()?;
        let cores = threads_for(cpus, machine.cores);
        let threads = raw.threads.unwrap_or((cores / workers).max(1));
        if threads == 0 {
            return wrong("threads", "threads is 0, but must be at least 1");
        }
        let memory = match raw.memory.as_deref() {
            Some(text) => Some(size("memory", text)?),
            None => machine.memory_bytes.map(|it| it / 100 * MEMORY_PERCENT),
        };
        let base = file.and_then(Path::parent).unwrap_or(home);
        let memory_bytes = memory.map(|it| it / u64::from(workers));
        let unlisted = InboxConfig {
            quiet: raw.quiet.as_deref().map(|it| quiet("quiet", it)).transpose()?,
            job_time: limit("job_hours", raw.job_hours, 3600.0, JOB_TIME_DEFAULT)?,
            memory_bytes,
            ..InboxConfig::at(PathBuf::new())
        };
        Ok(Config {
            file: file.map(Path::to_path_buf),
            inboxes: inboxes(raw.inbox, base, home, &unlisted)?,
            unlisted,
            limits: limits(["queue_jobs", "queue_bytes"], raw.queue_jobs, raw.queue_bytes)?,
            settle: seconds("settle_s", raw.settle_s, 0.0, SETTLE_DEFAULT)?,
            rescan: seconds("rescan_s", raw.rescan_s, 1.0, RESCAN_DEFAULT)?,
            stop_timeout: seconds("stop_timeout_s", raw.stop_timeout_s, 2.0, STOP_TIMEOUT_DEFAULT)?,
            silence: limit("silence_minutes", raw.silence_minutes, 60.0, SILENCE_DEFAULT)?,
            retention: retention(raw.retention.unwrap_or_default())?,
            group: raw.group.as_deref().map(group).transpose()?,
            workers,
            cpus,
            threads,
            memory_bytes,
            device: match raw.device.as_deref() {
                None | Some("auto") => Device::Auto,
                Some("cpu") => Device::Cpu,
                Some("cuda") => Device::Cuda,
                Some(other) => {
                    return wrong(
                        "device",
                        format!("device is `{other}`, but must be auto, cpu or cuda"),
                    );
                }
            },
            plugins: plugins(raw.plugins.unwrap_or_default(), base, home)?,
            bases: raw
                .recipes
                .and_then(|it| it.bases)
                .unwrap_or_else(|| vec![bases::DEFAULT.into()]),
            features: features(raw.feature_cache.as_deref(), home)?,
            reserve: raw.reserve.as_deref().map(|it| size("reserve", it)).transpose()?,
            worker: worker_binary(raw.worker.map(|it| base.join(it))),
            sandbox: sandbox(raw.sandbox.as_deref())?,
            log: match raw.log.as_deref() {
                None | Some("human") => LogStyle::Human,
                Some("json") => LogStyle::Json,
                Some(other) => {
                    return wrong("log", format!("log is `{other}`, but must be human or json"));
                }
            },
        })
    }
}

/// `--home`, else FINETUNED_HOME, else what systemd gives a service, else the user's data folder;
/// absolute.
pub(crate) fn home(flag: Option<PathBuf>) -> Result<PathBuf> {
    let var = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let user_data = || {
        var("XDG_DATA_HOME")
            .or_else(|| Some(var("HOME")?.join(".local/share")))
            .map(|it| it.join("finetuned"))
    };
    let found = flag
        .or_else(|| var("FINETUNED_HOME"))
        .or_else(|| var("STATE_DIRECTORY"))
        .or_else(user_data);
    let Some(home) = found else {
        bail!("no home folder is known: set FINETUNED_HOME or give --home DIR")
    };
    std::path::absolute(&home).with_context(|| format!("the home folder {}", home.display()))
}

/// Whether a service manager listens; what it is told is sd-notify's to send.
pub(crate) fn has_manager() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|it| !it.is_empty())
}

/// `DEVICE:INODE` of what a service manager lets its journal read.
pub(crate) fn journal_stream() -> Option<String> {
    env::var("JOURNAL_STREAM").ok()
}

/// What the log shall show: FINETUNED_LOG, as in `debug` or `finetuned=debug,notify=warn`.
pub(crate) fn log_filter() -> Option<String> {
    env::var("FINETUNED_LOG").ok().filter(|it| !it.is_empty())
}

/// Where people look for their pager-less, colour-less terminals.
pub(crate) fn plain_terminal() -> bool {
    env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
        || env::var_os("TERM").is_some_and(|it| it == "dumb")
}

/// Reads and judges a recipe file; what is kept is the text, which the worker judges again together
/// with the data.
pub(crate) fn recipe_text(file: &Path) -> Result<RecipeText> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("reading the recipe {}", file.display()))?;
    Recipe::parse(&text).with_context(|| format!("the recipe {} can't be used", file.display()))?;
    Ok(RecipeText { file: file.to_path_buf(), text })
}

/// FINETUNED_WORKER, else the setting, else beside our own binary.
fn worker_binary(setting: Option<PathBuf>) -> PathBuf {
    const NAME: &str = "finetuned-worker";
    let beside = || env::current_exe().ok().map(|it| it.with_file_name(NAME));
    let from_env = env::var_os("FINETUNED_WORKER").filter(|it| !it.is_empty()).map(PathBuf::from);
    from_env.or(setting).or_else(beside).unwrap_or_else(|| PathBuf::from(NAME))
}

fn inboxes(
    raw: Option<Vec<RawInbox>>,
    base: &Path,
    home: &Path,
    common: &InboxConfig,
) -> Result<Vec<InboxConfig>, Wrong> {
    let Some(list) = raw else {
        return Ok(vec![InboxConfig { path: home.join("inbox"), ..common.clone() }]);
    };
    let mut checked: Vec<InboxConfig> = Vec::new();
    let home = real(home);
    for it in list {
        let path = base.join(&it.path);
        let place = real(&path);
        let ours = ["runs", "cache", "backups"].map(|it| home.join(it));
        if home.starts_with(&place) || ours.iter().any(|it| place.starts_with(it)) {
            return wrong(
                "inbox",
                format!(
                    "inbox {} must neither hold the home folder nor lie in its runs, cache or backups",
                    path.display()
                ),
            );
        }
        for other in &checked {
            let other_place = real(&other.path);
            let how = if other_place == place {
                "is the same folder as"
            } else if place.starts_with(&other_place) {
                "lies in"
            } else if other_place.starts_with(&place) {
                "holds"
            } else {
                continue;
            };
            let message = format!(
                "inbox {} {how} inbox {}: a drop would be taken twice",
                path.display(),
                other.path.display()
            );
            return wrong("inbox", message);
        }
        let named = format!("inbox {}", path.display());
        let inbox = inbox(it, path, base, common);
        checked.push(inbox.map_err(|it| Wrong { why: it.why.context(named), ..it })?);
    }
    Ok(checked)
}

fn inbox(
    raw: RawInbox,
    path: PathBuf,
    base: &Path,
    common: &InboxConfig,
) -> Result<InboxConfig, Wrong> {
    let recipe = raw.recipe.map(|file| recipe_text(&base.join(file))).transpose();
    let (least, most) = (*PRIORITIES.start(), *PRIORITIES.end());
    let memory = raw.memory.map(|it| size("inbox.memory", &it)).transpose()?;
    Ok(InboxConfig {
        recipe: recipe.map_err(|why| Wrong { field: "inbox.recipe", why })?,
        weight: within("inbox.weight", raw.weight.unwrap_or(1), 1, WEIGHT_MAX)?,
        priority_max: within("inbox.priority_max", raw.priority_max.unwrap_or(0), least, most)?,
        jobs_max: raw.jobs.map(|it| within("inbox.jobs", it, 1, WORKERS_MAX)).transpose()?,
        limits: limits(["inbox.queue_jobs", "inbox.queue_bytes"], raw.queue_jobs, raw.queue_bytes)?,
        quiet: match raw.quiet.as_deref() {
            None => common.quiet,
            Some("never") => None,
            Some(text) => Some(quiet("inbox.quiet", text)?),
        },
        job_time: match raw.job_hours {
            None => common.job_time,
            hours => limit("inbox.job_hours", hours, 3600.0, JOB_TIME_DEFAULT)?,
        },
        // Never more than every worker has.
        memory_bytes: memory.into_iter().chain(common.memory_bytes).min(),
        cpus: raw.cpus.map(|it| within("inbox.cpus", it, CPUS_MIN, CPUS_MAX)).transpose()?,
        cpu_weight: share("inbox.cpu_weight", raw.cpu_weight)?,
        io_weight: share("inbox.io_weight", raw.io_weight)?,
        path,
    })
}

/// More threads than it has cores' time for would wait for each other.
pub(crate) fn threads_for(cpus: Option<f64>, threads: u32) -> u32 {
    cpus.map_or(threads, |it| threads.min(it.ceil() as u32))
}

fn sandbox(text: Option<&str>) -> Result<Sandbox, Wrong> {
    match text {
        None | Some("auto") => Ok(Sandbox::Auto),
        Some("off") => Ok(Sandbox::Off),
        Some("required") => Ok(Sandbox::Required),
        Some(it) => {
            wrong("sandbox", format!("sandbox is `{it}`, but must be auto, off or required"))
        }
    }
}

fn share(field: &'static str, weight: Option<u32>) -> Result<Option<u32>, Wrong> {
    weight.map(|it| within(field, it, 1, SHARE_MAX)).transpose()
}

fn limits(
    [jobs_field, bytes_field]: [&'static str; 2],
    jobs: Option<u64>,
    bytes: Option<String>,
) -> Result<Limits, Wrong> {
    let jobs = jobs.map(|it| within(jobs_field, it, 1, u64::MAX)).transpose()?;
    let bytes = bytes.map(|it| size(bytes_field, &it)).transpose()?;
    Ok(Limits { jobs, bytes })
}

fn quiet(field: &'static str, text: &str) -> Result<Hours, Wrong> {
    Hours::parse(text).ok_or_else(|| {
        Wrong::new(field, format!("{field} is `{text}`, but must be hours such as `08:00-18:00`"))
    })
}

/// Where a path leads: links followed, `..` resolved, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
        if let Ok(there) = fs::canonicalize(&real) {
            real = there;
        }
    }
    real
}

fn plugins(raw: RawPlugins, base: &Path, home: &Path) -> Result<PluginRules, Wrong> {
    let call_s = raw.call_s.unwrap_or(PLUGIN_CALL_S_DEFAULT);
    if call_s == 0 {
        return wrong("plugins.call_s", "plugins.call_s is 0, but must be at least 1");
    }
    let mut pinned = raw.pin.unwrap_or_default();
    for (name, hash) in &mut pinned {
        if hash.len() != HASH_HEX_CHARS || !hash.bytes().all(|it| it.is_ascii_hexdigit()) {
            let message = format!(
                "plugins.pin.{name} is `{hash}`, but must be the {HASH_HEX_CHARS} hex digits that `finetuned plugin list` shows"
            );
            return wrong("plugins.pin", message);
        }
        hash.make_ascii_lowercase();
    }
    let folder = raw.folder.map_or_else(|| home.join("plugins"), |it| base.join(it));
    Ok(PluginRules { folder, pinned, call_s })
}

fn features(limit: Option<&str>, home: &Path) -> Result<Option<FeatureCache>, Wrong> {
    let bytes_max = match limit {
        None => FEATURE_CACHE_DEFAULT,
        Some("0" | "none") => return Ok(None),
        Some(text) => bytes(text).ok_or_else(|| {
            Wrong::new(
                "feature_cache",
                format!("feature_cache is `{text}`, but must be a size such as `10 GB`, or `none`"),
            )
        })?,
    };
    Ok(Some(FeatureCache { folder: home.join("cache/features"), bytes_max }))
}

fn seconds(
    field: &'static str,
    value: Option<f64>,
    least: f64,
    default: Duration,
) -> Result<Duration, Wrong> {
    /// A day: more is a typing error.
    const MOST: f64 = 86_400.0;
    match value {
        None => Ok(default),
        Some(it) if (least..=MOST).contains(&it) => Ok(Duration::from_secs_f64(it)),
        Some(it) => wrong(field, format!("{field} is {it}, but must be from {least} to {MOST}")),
    }
}

/// In hours or minutes; 0 is no limit.
fn limit(
    field: &'static str,
    value: Option<f64>,
    unit_s: f64,
    default: Duration,
) -> Result<Option<Duration>, Wrong> {
    /// Years: more is a typing error.
    const MOST_S: f64 = 1e9;
    match value {
        None => Ok(Some(default)),
        Some(0.0) => Ok(None),
        Some(it) if 0.0 < it && it * unit_s <= MOST_S => {
            Ok(Some(Duration::from_secs_f64(it * unit_s)))
        }
        Some(it) => wrong(field, format!("{field} is {it}, but must be above 0 (or 0: no limit)")),
    }
}

fn retention(raw: RawRetention) -> Result<Retention, Wrong> {
    let days = limit("retention.days", raw.days, 86_400.0, Duration::ZERO)?;
    Ok(Retention {
        runs: raw.runs,
        age: days.filter(|_| raw.days.is_some()),
        bytes: raw.bytes.as_deref().map(|it| size("retention.bytes", it)).transpose()?,
    })
}

/// By its name in /etc/group, or by its number.
fn group(name: &str) -> Result<Gid, Wrong> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let known = groups.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.len() > 2 && fields[0] == name).then(|| fields[2].parse().ok())?
    });
    match known.or_else(|| name.parse().ok()) {
        Some(number) => Ok(Gid::from_raw(number)),
        None => wrong(
            "group",
            format!(
                "group is `{name}`, which /etc/group does not know: make it with groupadd, or give its number"
            ),
        ),
    }
}

fn within<T: PartialOrd + Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, Wrong> {
    if !(&least..=&most).contains(&&value) {
        return wrong(field, format!("{field} is {value}, but must be from {least} to {most}"));
    }
    Ok(value)
}

fn size(field: &'static str, text: &str) -> Result<u64, Wrong> {
    if text == "0" {
        return Ok(0);
    }
    bytes(text).ok_or_else(|| {
        Wrong::new(field, format!("{field} is `{text}`, but must be a size such as `8 GiB`"))
    })
}

/// `8 GiB`, `512MiB`, `2 GB`, `1048576`.
fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (1.0..1e18).contains(&bytes).then_some(bytes as u64)
}

/// A value that can't be used, with the name of its field.
struct Wrong {
    field: &'static str,
    why: anyhow::Error,
}

impl Wrong {
    fn new(field: &'static str, message: impl Into<String>) -> Wrong {
        Wrong { field, why: anyhow::Error::msg(message.into()) }
    }
}

fn wrong<T>(field: &'static str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::new(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cores: 8, memory_bytes: Some(10_000_000_000) };

    fn parse(text: &str) -> Result<Config> {
        Config::parse(text, Path::new("/srv/ft/config.toml"), Path::new("/srv/ft"), MACHINE)
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(format!("{:#}", parse(text).unwrap_err()), message);
    }

    #[test]
    fn an_empty_file_suits_the_machine() {
        let config = parse("").unwrap();
        assert_eq!(
            (config.workers, config.threads, config.memory_bytes),
            (1, 8, Some(8_000_000_000))
        );
        assert_eq!(
            config.inboxes,
            [InboxConfig { path: "/srv/ft/inbox".into(), ..config.unlisted.clone() }]
        );
    }

    #[test]
    fn workers_share_cores_and_memory() {
        let config = parse("workers = 2\nmemory = '6 GiB'").unwrap();
        assert_eq!((config.threads, config.memory_bytes), (4, Some(3 << 30)));
        assert_eq!(parse("workers = 16").unwrap().threads, 1);
    }

    #[test]
    fn nobody_has_more_threads_than_cores_time() {
        assert_eq!(parse("cpus = 2.5").unwrap().threads, 3);
        assert_eq!(parse("cpus = 4\nworkers = 4").unwrap().threads, 1);
        assert_eq!(parse("cpus = 100").unwrap().threads, 8);
        assert_eq!((threads_for(Some(0.5), 8), threads_for(None, 8)), (1, 8));
        refused("cpus = 0", "line 1: cpus is 0, but must be from 0.01 to 4096");
        let inbox = parse("[[inbox]]\npath = 'x'\ncpus = 1.5\ncpu_weight = 7\nio_weight = 9");
        let inbox = inbox.unwrap().inboxes.remove(0);
        assert_eq!((inbox.cpus, inbox.cpu_weight, inbox.io_weight), (Some(1.5), Some(7), Some(9)));
        refused(
            "[[inbox]]\npath = 'x'\ncpu_weight = 0",
            "inbox /srv/ft/x: inbox.cpu_weight is 0, but must be from 1 to 10000",
        );
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        refused("# speed\nsetle_s = 2", "line 2: unknown key `setle_s`: did you mean `settle_s`?");
        refused(
            "[[inbox]]\npath = 'x'\nrecipee = 'y'",
            "line 3: unknown key `recipee` in [inbox]: did you mean `recipe`?",
        );
        refused("\nworkers = 0", "line 2: workers is 0, but must be from 1 to 64");
        refused("memory = 'much'", "line 1: memory is `much`, but must be a size such as `8 GiB`");
        refused("settle_s = -1", "line 1: settle_s is -1, but must be from 0 to 86400");
        refused("device = 'tpu'", "line 1: device is `tpu`, but must be auto, cpu or cuda");
    }

    #[test]
    fn the_documented_example_can_be_used() {
        let document = include_str!("../../../docs/config.md");
        let example =
            document.split("```toml\n").nth(1).and_then(|it| it.split("```").next()).unwrap();
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("reviews.toml"), "").unwrap();
        let config =
            Config::parse(example, &home.path().join("config.toml"), home.path(), MACHINE).unwrap();
        let defaults = parse("").unwrap();
        assert_eq!(
            (config.settle, config.rescan, config.stop_timeout),
            (defaults.settle, defaults.rescan, defaults.stop_timeout)
        );
        assert_eq!(
            (config.workers, config.plugins.call_s, config.log),
            (defaults.workers, defaults.plugins.call_s, defaults.log)
        );
        assert_eq!(config.features.unwrap().bytes_max, FEATURE_CACHE_DEFAULT);
    }

    #[test]
    fn an_inbox_has_a_weight_and_says_what_drops_may_ask_for() {
        let inbox = |text: &str| {
            let mut inboxes = parse(&format!("[[inbox]]\npath = 'x'\n{text}"))?.inboxes;
            anyhow::Ok(inboxes.remove(0))
        };
        let found = inbox("weight = 3\npriority_max = 20").unwrap();
        assert_eq!((found.weight, found.priority_max), (3, 20));
        let refused = |text: &str| format!("{:#}", inbox(text).unwrap_err());
        assert_eq!(
            refused("weight = 0"),
            "inbox /srv/ft/x: inbox.weight is 0, but must be from 1 to 100"
        );
        assert_eq!(
            refused("priority_max = 101"),
            "inbox /srv/ft/x: inbox.priority_max is 101, but must be from -100 to 100"
        );
    }

    #[test]
    fn an_inbox_has_limits_of_its_own_or_those_of_all() {
        let inbox = |text: &str| {
            let all = "workers = 2\nmemory = '8 GiB'\njob_hours = 9\nquiet = '22:00-06:00'";
            let text = format!("{all}\n[[inbox]]\npath = 'x'\n{text}");
            anyhow::Ok(parse(&text)?.inbox(Path::new("/srv/ft/x")).clone())
        };
        let common = inbox("").unwrap();
        assert_eq!(common.quiet.map(|it| it.to_string()).as_deref(), Some("22:00-06:00"));
        assert_eq!((common.job_time, common.jobs_max), (Some(Duration::from_secs(9 * 3600)), None));
        assert_eq!((common.memory_bytes, common.limits), (Some(4 << 30), Limits::default()));
        let own = "jobs = 1\nqueue_jobs = 5\nqueue_bytes = '1 GB'\nquiet = 'never'\njob_hours = 0\nmemory = '1 GiB'";
        let own = inbox(own).unwrap();
        assert_eq!((own.quiet, own.job_time, own.jobs_max), (None, None, Some(1)));
        assert_eq!(own.memory_bytes, Some(1 << 30));
        assert_eq!(own.limits, Limits { jobs: Some(5), bytes: Some(1_000_000_000) });
        assert_eq!(inbox("memory = '90 GiB'").unwrap().memory_bytes, Some(4 << 30));
        refused(
            "queue_jobs = 0",
            &format!("line 1: queue_jobs is 0, but must be from 1 to {}", u64::MAX),
        );
        refused(
            "quiet = 'nights'",
            "line 1: quiet is `nights`, but must be hours such as `08:00-18:00`",
        );
    }

    #[test]
    fn features_have_their_folder_and_limit() {
        let cache = parse("feature_cache = '2 GB'").unwrap().features.unwrap();
        assert_eq!(
            (cache.folder, cache.bytes_max),
            ("/srv/ft/cache/features".into(), 2_000_000_000)
        );
        assert_eq!(parse("").unwrap().features.unwrap().bytes_max, FEATURE_CACHE_DEFAULT);
        assert_eq!(parse("feature_cache = 'none'").unwrap().features, None);
        refused(
            "feature_cache = 'big'",
            "line 1: feature_cache is `big`, but must be a size such as `10 GB`, or `none`",
        );
    }

    #[test]
    fn plugins_come_from_one_folder_with_the_hashes_that_are_pinned() {
        let rules = parse("").unwrap().plugins;
        assert_eq!((rules.folder, rules.pinned.len()), ("/srv/ft/plugins".into(), 0));
        let hash = "AB".repeat(32);
        let rules =
            parse(&format!("[plugins]\nfolder = '/opt/p'\ncall_s = 9\npin.focal = '{hash}'"))
                .unwrap()
                .plugins;
        assert_eq!((rules.folder, rules.call_s), ("/opt/p".into(), 9));
        assert_eq!(rules.pinned["focal"], hash.to_lowercase());
        refused(
            "[plugins.pin]\nfocal = 'ab12'",
            "plugins.pin.focal is `ab12`, but must be the 64 hex digits that `finetuned plugin list` shows",
        );
        refused("[plugins]\ncall_s = 0", "line 2: plugins.call_s is 0, but must be at least 1");
        refused(
            "[plugins]\nfoldr = 'x'",
            "line 2: unknown key `foldr` in [plugins]: did you mean `folder`?",
        );
    }

    #[test]
    fn an_inbox_must_not_swallow_the_home() {
        refused(
            "[[inbox]]\npath = '/srv'",
            "inbox /srv must neither hold the home folder nor lie in its runs, cache or backups",
        );
        refused(
            "[[inbox]]\npath = 'runs/x'",
            "inbox /srv/ft/runs/x must neither hold the home folder nor lie in its runs, cache or backups",
        );
        refused(
            "[[inbox]]\npath = 'a'\n[[inbox]]\npath = 'a'",
            "inbox /srv/ft/a is the same folder as inbox /srv/ft/a: a drop would be taken twice",
        );
    }

    #[test]
    fn inboxes_must_not_meet_however_they_are_written() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir_all(root.path().join("drops/reviews")).unwrap();
        fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(root.path().join("drops"), root.path().join("link")).unwrap();
        let refused = |a: &str, b: &str| {
            let text = format!("[[inbox]]\npath = '{a}'\n[[inbox]]\npath = '{b}'");
            let file = home.join("config.toml");
            Config::parse(&text, &file, &home, MACHINE).map(drop).map_err(|err| format!("{err:#}"))
        };
        for (a, b, how) in [
            ("../drops", "../link", "is the same folder as"),
            ("../drops", "../link/reviews", "lies in"),
            ("../drops/reviews/", "../drops/x/..", "holds"),
            ("../none/a/b", "../none/a", "holds"),
        ] {
            let message = refused(a, b).unwrap_err();
            assert!(message.contains(how) && message.ends_with("taken twice"), "{message}");
        }
        refused("../drops/reviews", "../drops/reviews2").unwrap();
        assert!(refused("../drops", "..").unwrap_err().contains("neither hold the home"));
    }

    #[test]
    fn the_recipe_of_an_inbox_is_checked_with_the_configuration() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        let recipe = home.path().join("r.toml");
        fs::write(&file, "[[inbox]]\npath = 'in'\nrecipe = 'r.toml'\n").unwrap();
        fs::write(&recipe, "[train]\nepochs = 0\n").unwrap();
        let message = format!("{:#}", Config::load(home.path()).unwrap_err());
        assert!(
            message.contains(
                "r.toml can't be used: line 2: train.epochs is 0, but must be at least 1"
            ),
            "{message}"
        );
        fs::write(&recipe, "[train]\nepochs = 2\n").unwrap();
        let config = Config::load(home.path()).unwrap();
        assert_eq!(config.inboxes[0].recipe.as_ref().unwrap().text, "[train]\nepochs = 2\n");
    }
}
