//! From scores to what people read: the report, the model card, TensorBoard's files and the table
//! of predictions.
//!
//! Everything here is computed from values passed in. What a kind of answer is called and how it
//! is scored is left to the answers crate. What a model gives, which split the report is
//! about and which step was best is decided by the worker; there is no tensor, no clock and no
//! environment here.

#![forbid(unsafe_code)]

mod charts; // series -> inline SVG
mod events; // events.jsonl -> lines
mod images; // PNG files -> what a page without network can show
mod predictions; // rows -> predictions.csv, the worst mistakes
mod templates; // the engine and its filters
mod recipe_text; // plan -> the recipe that gives it again
mod story; // what report and card tell alike
mod card; // story -> README.md of the model
mod html; // story -> report.html
mod tensorboard; // lines -> event files

pub use card::model_card;
pub use events::read_events;
pub use html::html;
pub use images::{Images, read_sheets};
pub use predictions::{MISTAKES_SHOWN, Mistake, Origin, predictions_csv, worst_mistakes};
pub use recipe_text::recipe;
pub use story::Story;
pub use tensorboard::tensorboard;
