//! A drop -> examples: unpacks archives, finds the recipe, reads tables and folders of texts or
//! images, and reports what a person should know before anything is trained on them.
//!
//! Invariant: this crate decodes files of strangers, so all of it is safe Rust, and it knows no
//! tensor, no model, no process and no network. Tokens are counted, and time is estimated, by the
//! worker.

#![forbid(unsafe_code)]

mod refusal; // how to say no
mod signature; // what a file is that is not read
mod inflate; // .gz and .zst
mod progress; // how far a stage is
mod source; // one file, watched while it is read
mod encoding; // bytes -> text
mod example; // one of them, whatever goes in
mod quarantine; // rows that can't be used
mod row; // what readers of tables give
mod names; // what people call columns
mod lines; // a text a line
mod fasttext; // labels before a text
mod trec; // a class before a question
mod conll; // sentences of tagged words
mod rasa; // intents of chatbots
mod unblanked; // blanks before quotes
mod whole_lines; // CSV in cells of a spreadsheet
mod formulas; // ="007"
mod swallowed; // rows that a quote took
mod dialect; // how a CSV file is written
mod format; // of tables
mod split_names; // what people call splits
mod delimited; // CSV, TSV
mod json; // JSON Lines, JSON
mod json_document; // JSON that is no list of rows
mod parquet_table;
mod arrow_table;
mod workbook; // Excel, OpenDocument
mod exports; // of labelling tools
mod survey; // headers below headers
mod sentences; // words and tags -> lists
mod row_class; // labels beside a table
mod table; // one file of rows
mod recurring; // columns that could be the label
mod inventory; // a folder -> its files
mod archive; // .zip, .tar, .tar.gz, .tar.zst -> a folder
mod flat_names; // cat.0.jpg
mod layout; // files -> splits and classes
mod class_files; // pos.txt, neg.txt
mod parallel; // train_text.txt, train_labels.txt
mod forms; // which tables the files hold
mod detection; // drops that are there to find things in images
mod request; // what is asked of a drop
mod targets; // which columns are learnt, and as what
mod gather; // rows -> examples
mod split_column; // which column says the split
mod unlabelled; // files to predict for
mod reading; // all ways of reading, and that through tables
mod modality; // what goes in: a file for each kind
mod duplicates; // the same content twice
mod carve; // train -> train, validation, test
mod preflight; // what can be learnt, and scored
mod load; // all of it in order
mod opened; // a drop -> a folder and its recipe

pub use example::{At, Example, Origins, Record};
pub use load::Dataset;
pub use modality::{Images, LEARNT, Named, inputs};
pub use opened::{Opened, open};
pub use progress::Progress;
pub use request::{Request, ValidationDefault};
