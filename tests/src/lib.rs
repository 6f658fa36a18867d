//! What holds for the source itself: borders between crates and the measurable signs of a house
//! going wrong; and the one stand-in that several crates' tests need. What a user sees is tested in
//! `tests/end_to_end`.

pub mod hub_server; // a hub and its CDN on local ports

#[cfg(test)]
mod source; // files -> code, comments, literals
#[cfg(test)]
mod crates; // of others
#[cfg(test)]
mod borders; // between crates
#[cfg(test)]
mod circles; // between modules
#[cfg(test)]
mod tidy; // in a file
#[cfg(test)]
mod docs; // in what people read
