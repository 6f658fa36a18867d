//! From numbers to what people read and may believe: scores with intervals, the report, the model
//! card, TensorBoard's files and the table of predictions.
//!
//! Everything here is computed from values passed in. What a model says, which split the report is
//! about and which step was best is decided by the worker; there is no tensor, no clock and no
//! environment here.

#![forbid(unsafe_code)]

mod bootstrap; // examples -> intervals
mod card; // story -> README.md of the model
mod charts; // series -> inline SVG
mod events; // events.jsonl -> lines
mod html; // story -> report.html
mod images; // PNG files -> what a page without network can show
mod predictions; // rows -> predictions.csv, the worst mistakes
mod recipe_text; // plan -> the recipe that gives it again
mod scores; // outputs and truth -> what an evaluation says
mod story; // what report and card tell alike
mod templates; // the engine and its filters
mod tensorboard; // lines -> event files

pub use card::model_card;
pub use events::read_events;
pub use html::html;
pub use images::{Images, read_sheets};
pub use predictions::{MISTAKES_SHOWN, Mistake, Prediction, predictions_csv, worst_mistakes};
pub use recipe_text::recipe;
pub use scores::{
    ScoresError, Target, Truth, baseline, higher_is_better, predicted, scores, value,
};
pub use story::Story;
pub use tensorboard::tensorboard;
