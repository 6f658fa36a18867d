//! `job.json`: whose run folder it is. Numbers may be given again when a database was lost; a UUID
//! is not, so what lies in a folder counts for the job of this UUID and for this state of its drop.

use crate::spec::RecipeText;
use serde::{Deserialize, Serialize};

pub const IDENTITY_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub version: u32,
    pub job: u64,
    /// 32 hex digits, drawn when the drop was taken.
    pub uuid: String,
    /// The drop's own name.
    pub name: String,
    /// Where the drop lay.
    pub source: String,
    /// Of the drop that the other files of the folder are about, 16 hex digits.
    pub fingerprint: String,
    pub created_ms: u64,
    /// Bound to the inbox when the drop came.
    pub recipe: Option<RecipeText>,
}
