//! Everything that a plugin needs: traits to write in safe Rust, and one line that exports them.
//!
//! ```
//! use finetuned_sdk::{Error, Metric, NoSettings, Predictions, Result};
//!
//! /// Part of the examples whose most probable class is the true one.
//! struct HitRate { hits: u64, seen: u64 }
//!
//! impl Metric for HitRate {
//!     const NAME: &'static str = "hit_rate";
//!     const HIGHER_IS_BETTER: bool = true;
//!     type Settings = NoSettings;
//!
//!     fn new(_: NoSettings, _classes: &[&str]) -> Result<HitRate> {
//!         Ok(HitRate { hits: 0, seen: 0 })
//!     }
//!
//!     fn update(&mut self, batch: &Predictions) -> Result<()> {
//!         for (row, label) in batch.rows() {
//!             let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
//!             self.hits += u64::from(best == Some(label));
//!             self.seen += 1;
//!         }
//!         Ok(())
//!     }
//!
//!     fn merge(&mut self, other: &HitRate) -> Result<()> {
//!         self.hits += other.hits;
//!         self.seen += other.seen;
//!         Ok(())
//!     }
//!
//!     fn compute(&self) -> Result<f64> {
//!         if self.seen == 0 {
//!             return Err(Error::invalid("no examples were seen"));
//!         }
//!         Ok(self.hits as f64 / self.seen as f64)
//!     }
//! }
//!
//! finetuned_sdk::export! { metrics: [HitRate] }
//!
//! # fn main() {
//! let examples = [(vec![0.9, 0.1], 0), (vec![0.2, 0.8], 0)];
//! let score = finetuned_sdk::testing::metric::<HitRate>("{}", &["no", "yes"], &examples);
//! assert_eq!(score.expect("a score"), 0.5);
//! # }
//! ```
//!
//! The crate's type is `cdylib`; docs/plugins.md has the whole way from `finetuned plugin new` to a
//! job. Readers, metrics, hooks, augmentations and rewards need no libtorch at all; heads and
//! losses are behind the feature `tensor`, which brings tch. The host uses this crate for [`abi`]
//! only.

pub mod abi;
mod error;
mod border; // raw arguments -> what Rust can hold
mod log;
mod guard; // panics and errors -> statuses
mod problem; // one label, several, numbers
mod random;
mod settings;
mod augmentation;
mod hook;
mod metric;
mod reader;
mod reward;
#[cfg(feature = "tensor")]
mod tensor; // what heads and losses share
#[cfg(feature = "tensor")]
mod head;
#[cfg(feature = "tensor")]
mod loss;
#[doc(hidden)]
pub mod export; // one macro line -> descriptor, entry and table
pub mod testing;

pub use augmentation::{Augmentation, Pixels};
pub use error::{Error, Result};
#[cfg(feature = "tensor")]
pub use head::{Head, HeadInput, HeadShape, Input};
pub use hook::{Event, Hook, Progress, Score, Wish};
#[doc(hidden)]
pub use log::line;
#[cfg(feature = "tensor")]
pub use loss::{Loss, LossInput};
pub use metric::{Metric, Predictions};
pub use problem::Problem;
pub use random::Random;
pub use reader::{Content, DropFolder, Example, Found, Reader, Split};
pub use reward::{Answer, Reward};
pub use settings::NoSettings;
#[cfg(feature = "tensor")]
pub use tensor::{Pass, Targets};

/// The very tch that tensors cross the border with; another version would not fit.
#[cfg(feature = "tensor")]
pub use tch;
