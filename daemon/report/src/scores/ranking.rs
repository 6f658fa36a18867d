//! What the order of probabilities says.

/// Examples by falling value; of equal ones the first. Values are at least 0, so that their bits
/// are in order too.
pub(super) fn falling(values: impl Iterator<Item = f32>) -> Vec<u32> {
    // Adding 0 turns a zero with a sign into one without.
    let mut keys: Vec<u64> = (0..)
        .zip(values)
        .map(|(index, it): (u64, f32)| u64::from(!(it + 0.0).to_bits()) << 32 | index)
        .collect();
    keys.sort_unstable();
    keys.into_iter().map(|it| it as u32).collect()
}

/// The sum of precision times what recall gains over all thresholds, equal values being one, as
/// `sklearn.metrics.average_precision_score`; 0 where nothing is true. `order` is [`falling`]'s,
/// and each example counts `times`.
pub(super) fn average_precision(
    order: &[u32],
    value: impl Fn(usize) -> f32,
    is_true: impl Fn(usize) -> bool,
    times: &[u32],
) -> f64 {
    let (mut said, mut hits, mut hits_before) = (0_u64, 0_u64, 0_u64);
    let mut area = 0.0;
    for (place, &example) in order.iter().enumerate() {
        let example = example as usize;
        let count = u64::from(times[example]);
        said += count;
        hits += if is_true(example) { count } else { 0 };
        let ends = order.get(place + 1).is_none_or(|next| value(*next as usize) != value(example));
        if ends && hits_before < hits {
            area += (hits - hits_before) as f64 * hits as f64 / said as f64;
            hits_before = hits;
        }
    }
    if hits == 0 { 0.0 } else { area / hits as f64 }
}

/// Whether `class` is among the `k` likeliest of a row. Of equal ones the last come first, as in
/// `sklearn.metrics.top_k_accuracy_score`.
pub(super) fn is_in_top(row: &[f32], class: usize, k: usize) -> bool {
    let before = |(other, value): (usize, &f32)| {
        row[class] < *value || (row[class] == *value && class < other)
    };
    row.iter().enumerate().filter(|it| before(*it)).count() < k
}
