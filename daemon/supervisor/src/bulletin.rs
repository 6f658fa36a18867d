//! `daemon.json`: what a running daemon says about its inboxes and its troubles, for `status` and
//! `doctor`. Written when it changes; jobs stand in the database.

use crate::copy::Carriage;
use crate::home::Home;
use crate::inbox::{Inbox, Standing};
use crate::run_facts;
use crate::watch::Watch;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// Names listed of each kind; the rest is counted.
const NAMES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bulletin {
    pub pid: u32,
    pub version: String,
    pub since_ms: u64,
    pub inboxes: Vec<InboxNews>,
    /// The drop that is being copied into its run folder.
    #[serde(default)]
    pub copying: Option<CopyNews>,
    /// What a person has to mend, and nothing waits for.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// How limits of workers hold.
    #[serde(default)]
    pub limits: String,
    /// What keeps the daemon from its work right now.
    pub trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CopyNews {
    pub job: u64,
    pub name: String,
    pub bytes: u64,
    pub total: u64,
}

impl CopyNews {
    pub fn of(carriage: &Carriage) -> CopyNews {
        CopyNews {
            job: carriage.job.0,
            name: carriage.name.clone(),
            bytes: carriage.bytes(),
            total: carriage.total(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InboxNews {
    pub path: PathBuf,
    pub recipe: Option<PathBuf>,
    /// Why drops can't be taken out of it, with the cure.
    pub unclaimable: Option<String>,
    /// Why it is looked at by time only.
    pub polled: Option<String>,
    /// Entries that still settle, and the first names.
    pub waiting: usize,
    pub waiting_first: Vec<String>,
    pub refused: Vec<Refused>,
    /// Further ones, without their names.
    #[serde(default)]
    pub refused_more: usize,
    /// Hours that hold now, in which nothing of it runs.
    #[serde(default)]
    pub quiet: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub name: String,
    pub why: String,
}

impl InboxNews {
    pub fn of(inbox: &Inbox) -> InboxNews {
        InboxNews {
            path: inbox.config.path.clone(),
            recipe: inbox.config.recipe.as_ref().map(|it| it.file.clone()),
            unclaimable: match &inbox.standing {
                Standing::Open => None,
                Standing::Unclaimable(why) => Some(why.clone()),
            },
            polled: match &inbox.watch {
                Watch::Events => None,
                Watch::Polled { why } => Some(why.clone()),
            },
            waiting: inbox.waiting().count(),
            waiting_first: inbox.waiting().take(NAMES_MAX).map(str::to_string).collect(),
            refused: inbox
                .refused
                .iter()
                .take(NAMES_MAX)
                .map(|(name, why)| Refused { name: name.clone(), why: why.clone() })
                .collect(),
            refused_more: inbox.refused.len().saturating_sub(NAMES_MAX),
            quiet: inbox.config.quiet.filter(|it| it.hold_now()).map(|it| it.to_string()),
        }
    }
}

impl Bulletin {
    pub fn publish(&self, home: &Home) -> Result<()> {
        let path = home.bulletin();
        let partial = path.with_extension("json.tmp");
        let write = || {
            fs::write(&partial, serde_json::to_vec_pretty(self)?)
                .and_then(|()| fs::rename(&partial, &path))
        };
        write().with_context(|| format!("writing {}", path.display()))
    }

    /// `None` when no daemon serves the home: an old bulletin says nothing.
    pub fn read(home: &Home) -> Option<Bulletin> {
        if home.is_served() { run_facts::json(&home.bulletin()).ok() } else { None }
    }
}
