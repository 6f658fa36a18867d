//! What a worker says while it tries a plugin (`finetuned plugin check`): one JSON object a line on
//! stdout, a [`Line::Trying`] before everything that may not return, a [`Line::Tried`] after it,
//! and [`Line::End`] last. A worker that is gone without an end was ended by what it tried last.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    Trying { what: String },
    Tried(Tried),
    End,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// `head cosine` or, for the file as a whole, `plugin margins`.
    pub subject: String,
    /// `gradients`, `memory`, …
    pub probe: String,
    pub verdict: Verdict,
    /// What was seen: figures where it passed, one sentence where not.
    pub found: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passed,
    Failed,
    /// Could not be tried, or need not hold; `found` says why.
    Noted,
}
