//! What holds for the source itself: borders between crates and the measurable signs of a house going wrong.
//! What a user sees is tested in `tests/end_to_end`.

#[cfg(test)]
mod borders;
#[cfg(test)]
mod tidy;
