//! What the order of probabilities says.

/// The examples in the order of what a model gives one class.
pub(crate) struct Ranking {
    /// By falling value; of equal ones the first.
    order: Vec<u32>,
    /// In that order, whether the class is true.
    is_true: Vec<bool>,
    /// In that order, whether the next one has another value.
    ends: Vec<bool>,
}

impl Ranking {
    /// Values are at least 0, so that their bits are in order too.
    pub fn new(values: impl Iterator<Item = f32>, is_true: impl Fn(usize) -> bool) -> Ranking {
        // Adding 0 turns a zero with a sign into one without.
        let mut keys: Vec<u64> = (0..)
            .zip(values)
            .map(|(index, it): (u64, f32)| u64::from(!(it + 0.0).to_bits()) << 32 | index)
            .collect();
        keys.sort_unstable();
        let value = |place: usize| keys.get(place).map(|it| it >> 32);
        Ranking {
            ends: (0..keys.len()).map(|it| value(it) != value(it + 1)).collect(),
            is_true: keys.iter().map(|it| is_true(*it as u32 as usize)).collect(),
            order: keys.iter().map(|it| *it as u32).collect(),
        }
    }

    /// The sum of precision times what recall gains over all thresholds, equal values being one, as
    /// `sklearn.metrics.average_precision_score`; 0 where nothing is true. Each example counts
    /// `times`.
    pub fn average_precision(&self, times: &[u32]) -> f64 {
        let (mut predicted, mut hits, mut hits_before) = (0_u64, 0_u64, 0_u64);
        let mut area = 0.0;
        for (place, &example) in self.order.iter().enumerate() {
            let count = u64::from(times[example as usize]);
            predicted += count;
            hits += if self.is_true[place] { count } else { 0 };
            if self.ends[place] && hits_before < hits {
                area += (hits - hits_before) as f64 * hits as f64 / predicted as f64;
                hits_before = hits;
            }
        }
        if hits == 0 { 0.0 } else { area / hits as f64 }
    }
}

/// Whether `class` is among the `k` likeliest of a row. Of equal ones the last come first, as in
/// `sklearn.metrics.top_k_accuracy_score`.
pub(crate) fn is_in_top(row: &[f32], class: usize, k: usize) -> bool {
    let before = |(other, value): (usize, &f32)| {
        row[class] < *value || (row[class] == *value && class < other)
    };
    row.iter().enumerate().filter(|it| before(*it)).count() < k
}
