//! `config.toml` as typed: every key optional, unknown keys refused, values not yet judged.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub inbox: Option<Vec<RawInbox>>,
    pub queue_jobs: Option<u64>,
    pub queue_bytes: Option<String>,
    pub quiet: Option<String>,
    pub settle_s: Option<f64>,
    pub rescan_s: Option<f64>,
    pub stop_timeout_s: Option<f64>,
    pub job_hours: Option<f64>,
    pub silence_minutes: Option<f64>,
    pub group: Option<String>,
    pub retention: Option<RawRetention>,
    pub recipes: Option<RawRecipes>,
    pub workers: Option<u32>,
    pub cpus: Option<f64>,
    pub threads: Option<u32>,
    pub memory: Option<String>,
    pub device: Option<String>,
    pub plugins: Option<RawPlugins>,
    pub feature_cache: Option<String>,
    pub reserve: Option<String>,
    pub worker: Option<String>,
    pub sandbox: Option<String>,
    pub log: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInbox {
    pub path: String,
    pub recipe: Option<String>,
    pub weight: Option<u32>,
    pub priority_max: Option<i32>,
    pub jobs: Option<u32>,
    pub queue_jobs: Option<u64>,
    pub queue_bytes: Option<String>,
    pub quiet: Option<String>,
    pub job_hours: Option<f64>,
    pub memory: Option<String>,
    pub cpus: Option<f64>,
    pub cpu_weight: Option<u32>,
    pub io_weight: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlugins {
    pub folder: Option<String>,
    pub pin: Option<BTreeMap<String, String>>,
    pub call_s: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    pub runs: Option<u64>,
    pub days: Option<f64>,
    pub bytes: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecipes {
    pub bases: Option<Vec<String>>,
}
