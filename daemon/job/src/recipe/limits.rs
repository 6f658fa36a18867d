//! What makes a value of a recipe one that can't be used: outside of its limits, with the field
//! that it stands in.

/// A value that can't be used, with the dotted name of its field.
#[derive(Debug, thiserror::Error)]
#[error("{field} {message}")]
pub(super) struct Wrong {
    pub field: &'static str,
    /// Of several tables of one name, the one that it stands in.
    pub nth: Option<usize>,
    message: String,
}

impl Wrong {
    pub(super) fn of_table(self, nth: usize) -> Wrong {
        Wrong { nth: Some(nth), ..self }
    }
}

pub(super) fn wrong<T>(field: &'static str, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { field, nth: None, message: message.into() })
}

pub(super) fn within(
    field: &'static str,
    value: f64,
    range: std::ops::Range<f64>,
) -> Result<f64, Wrong> {
    if range.contains(&value) {
        Ok(value)
    } else {
        wrong(
            field,
            format!("is {value}, but must be at least {} and below {}", range.start, range.end),
        )
    }
}

pub(super) fn above_0(field: &'static str, value: f64) -> Result<f64, Wrong> {
    if value.is_finite() && 0.0 < value {
        Ok(value)
    } else {
        wrong(field, format!("is {value}, but must be above 0"))
    }
}

pub(super) fn share(field: &'static str, value: f64) -> Result<f64, Wrong> {
    if 0.0 < value && value <= 1.0 {
        Ok(value)
    } else {
        wrong(field, format!("is {value}, but must be above 0 and at most 1"))
    }
}

pub(super) fn at_least<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
) -> Result<T, Wrong> {
    if value < least {
        wrong(field, format!("is {value}, but must be at least {least}"))
    } else {
        Ok(value)
    }
}

/// A number that no training needs is a typing error, or somebody's wish to keep a machine busy.
pub(super) fn from_to<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, Wrong> {
    if most < value {
        return wrong(field, format!("is {value}, but must be at most {most}"));
    }
    at_least(field, value, least)
}
