//! What becomes of drops: good ones as a summary, bad ones as the sentence that a user reads.

mod ambiguous;
mod archives;
mod conversations;
mod preferences;
mod prompts; // questions that a model answers itself
mod chatbots;
mod dialects;
mod encodings;
mod exports;
mod folders;
mod forms;
mod headerless;
mod image_refusals;
mod image_lists; // which images are train and which test
mod images;
mod lines;
mod named_by_files;
mod nameless;
mod no_texts; // tables of numbers
mod pairs;
mod passages;
mod predict;
mod preflight;
mod questionnaires;
mod refusals;
mod spellings;
mod splits;
mod support;
mod split_columns;
mod standoff;
mod tables;
mod tasks;
mod unclear;
mod words;
