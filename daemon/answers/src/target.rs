//! What is right for one example, whatever the kind of answer.

/// Class numbers or numbers. Which of the two it has, and how many, is known to its kind of answer
/// alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    classes: Box<[u32]>,
    numbers: Box<[f64]>,
}

impl Target {
    /// One class number, or several in an order that means something to the kind of answer.
    pub fn of_classes(classes: impl Into<Box<[u32]>>) -> Target {
        Target { classes: classes.into(), numbers: Box::default() }
    }

    /// Finite numbers, one for each output.
    pub fn of_numbers(numbers: impl Into<Box<[f64]>>) -> Target {
        Target { classes: Box::default(), numbers: numbers.into() }
    }

    /// Of an example of which nothing is known, with so many places that have a class each, for a
    /// model of so many outputs.
    pub fn unknown(places: usize, outputs: usize) -> Target {
        Target { classes: vec![0; places].into(), numbers: vec![0.0; outputs].into() }
    }

    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// The same with new numbers for the classes: `renumbered[old]` is the new one.
    pub(crate) fn renumbered(&self, renumbered: &[u32]) -> Target {
        let classes = self.classes.iter().map(|&it| renumbered[it as usize]).collect();
        Target { classes, numbers: self.numbers.clone() }
    }
}
