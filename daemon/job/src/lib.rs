//! The vocabulary that the supervisor and the worker share: what a job is asked (`spec`, `recipe`),
//! what was decided (`plan`), what happens (`event`), what was found (`data`, `scores`), how it
//! ended (`outcome`), and how the files of a run are called (`run_folder`).
//!
//! Only types and the rules that need nothing but the types: no I/O, no clock, no tensor, no
//! process. Every file format here carries a version; a change of shape raises it.

pub mod task; // what a task is
pub mod glob; // patterns of names
pub mod bases; // what a drop's recipe may name as its base
pub mod recipe; // TOML text -> what the user asked, checked
pub mod spec; // supervisor -> worker: one file
pub mod scores; // what an evaluation says
pub mod data; // data.json
pub mod plan; // plan.json
pub mod plugin_call; // which plugin was at work when a worker died
pub mod plugin_check; // what trying a plugin showed
pub mod outcome; // done.json and failed.json
pub mod event; // events.jsonl
pub mod identity; // job.json
pub mod file_name; // under way, litter, or neither
pub mod printable; // strings of strangers -> what may be printed
pub mod run_folder; // names of the files of a run
