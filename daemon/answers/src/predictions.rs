//! What a model gives for the examples of a split, as one table of numbers.

/// Rows of `width` outputs: probabilities of classes, or numbers in the units of the data. An
/// example has one row, or one for each of its places (words, say).
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Outputs of the model.
    width: usize,
    /// Row by row.
    values: Vec<f32>,
    /// Rows before each example, and all rows at the end.
    starts: Vec<usize>,
}

impl Predictions {
    /// One row for each example.
    pub fn one_row_each(width: usize, values: Vec<f32>) -> Predictions {
        let rows = values.len() / width.max(1);
        Predictions { width, values, starts: (0..=rows).collect() }
    }

    /// `rows`: how many each example has; together as many as `values` makes.
    pub fn ragged(
        width: usize,
        values: Vec<f32>,
        rows: impl IntoIterator<Item = usize>,
    ) -> Predictions {
        let mut starts = vec![0];
        starts.extend(rows.into_iter().scan(0, |sum, it| {
            *sum += it;
            Some(*sum)
        }));
        Predictions { width, values, starts }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All rows, one behind the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The rows of an example, one behind the other.
    pub fn of(&self, example: usize) -> &[f32] {
        &self.values[self.starts[example] * self.width..self.starts[example + 1] * self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_have_their_rows() {
        let values: Vec<f32> = (0..8).map(|it| it as f32).collect();
        let one = Predictions::one_row_each(2, values.clone());
        assert_eq!((one.len(), one.of(3)), (4, &values[6..]));
        let ragged = Predictions::ragged(2, values.clone(), [1, 0, 3]);
        assert_eq!(ragged.len(), 3);
        assert_eq!([ragged.of(0), ragged.of(1), ragged.of(2)], [&values[..2], &[], &values[2..]]);
    }
}
