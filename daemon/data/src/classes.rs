//! Numbers the classes: as they appear while reading, then in the order of the model's outputs.

use crate::columns::CLASSES_MAX;
use crate::refusal;
use finetuned_job::outcome::Failure;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(crate) struct Classes {
    /// In the order of their first appearance.
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Classes {
    /// `file`: where the label stands.
    pub(crate) fn number(&mut self, label: String, file: &str) -> Result<u32, Failure> {
        if let Some(number) = self.numbers.get(&label) {
            return Ok(*number);
        }
        if self.names.len() == CLASSES_MAX {
            let values: Vec<&str> = self.names.iter().take(3).map(String::as_str).collect();
            let message = format!(
                "{file}: the label has more than {CLASSES_MAX} different values ({}, …)",
                values.join(", ")
            );
            return Err(refusal::data(message).with_cure("it looks like a number, a name or a text: name the right label column in the recipe"));
        }
        let number = self.names.len() as u32;
        self.names.push(label.clone());
        self.numbers.insert(label, number);
        Ok(number)
    }

    /// Names in their final order, by number if all are integers, else by their letters; and the
    /// final number of each that was given out.
    pub(crate) fn ordered(mut self) -> (Vec<String>, Vec<u32>) {
        let mut order: Vec<u32> = (0..self.names.len() as u32).collect();
        let integers: Option<Vec<i128>> = self.names.iter().map(|it| it.parse().ok()).collect();
        match integers {
            Some(integers) => order.sort_by_key(|it| (integers[*it as usize], *it)),
            None => order.sort_by(|a, b| self.names[*a as usize].cmp(&self.names[*b as usize])),
        }
        let mut renumbered = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            renumbered[*old as usize] = new as u32;
        }
        let names = order.iter().map(|it| std::mem::take(&mut self.names[*it as usize])).collect();
        (names, renumbered)
    }
}
