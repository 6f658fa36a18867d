//! Decides every number that follows from the size of the data, its classes and what trains: pure
//! functions and named constants. What the recipe says itself is seen to by `planning`.

use finetuned_data::ValidationDefault;
use finetuned_job::plan::Storage;
use finetuned_job::recipe::{ClassWeights, Dtype, Method, PreferenceLoss};
use finetuned_job::task::Objective;

/// Of the split into training, validation and test: runs of other seeds learn from the same
/// examples, so that their scores can be compared.
pub(crate) const SPLIT_SEED: u64 = 0;

/// Below so many examples, training and validation together, validation gets a larger part.
const SMALL_POOL: u64 = 5_000;
/// What validation gets at least of a small pool and at most of a large one; at most of a small
/// one; at least of a large one.
const VALIDATION_PART: f64 = 0.1;
const VALIDATION_PART_MAX: f64 = 0.2;
const VALIDATION_PART_MIN: f64 = 0.01;
/// Examples that are enough to choose the best step by, of a small pool and of a large one.
const VALIDATION_SMALL: f64 = 500.0;
const VALIDATION_LARGE: f64 = 2_500.0;
/// Of each class, where the class has four times as many.
const VALIDATION_OF_CLASS: u32 = 5;

/// What validation gets of so many examples (AutoGluon's holdout).
pub(crate) fn validation(examples: u64) -> ValidationDefault {
    let n = examples.max(1) as f64;
    let part = if examples < SMALL_POOL {
        (VALIDATION_SMALL / n).clamp(VALIDATION_PART, VALIDATION_PART_MAX)
    } else {
        (VALIDATION_LARGE / n).clamp(VALIDATION_PART_MIN, VALIDATION_PART)
    };
    ValidationDefault { part, of_each_class: VALIDATION_OF_CLASS }
}

/// The part of the memory that a base may take in fp32 before it is stored in fewer bits where that
/// loses nothing: what trains, gradients and activations take several times as much, and each
/// product of a widened matrix takes longer.
const STORED_PART: u64 = 4;

/// What a base of so many numbers is stored in as long as it does not train. `memory`: that the job
/// may take.
pub(crate) fn storage(asked: Dtype, numbers: u64, memory: Option<u64>) -> Storage {
    let is_large = || memory.is_some_and(|it| it / STORED_PART < 4 * numbers);
    match asked {
        Dtype::Fp32 => Storage::Fp32,
        Dtype::Bf16 => Storage::Bf16,
        Dtype::Auto if is_large() => Storage::Lossless,
        Dtype::Auto => Storage::Fp32,
    }
}

/// Batches by the number of training examples: below each number this batch, else the last.
const BATCHES: [(u64, u32); 2] = [(1_000, 8), (4_000, 16)];
const BATCH_LARGE: u32 = 32;

pub(super) fn batch(train: u64) -> u32 {
    BATCHES.iter().find(|it| train < it.0).map_or(BATCH_LARGE, |it| it.1)
}

/// Passes over the data where only the head trains, which cost nothing.
const EPOCHS_HEAD: u32 = 30;
/// Where the body trains, as many passes as make these updates, and these for each class.
const UPDATES: u64 = 600;
const UPDATES_OF_CLASS: u64 = 15;
const EPOCHS_MIN: u32 = 4;
const EPOCHS_MAX: u32 = 10;
/// Images are changed from pass to pass, so they bear more.
const EPOCHS_MAX_IMAGES: u32 = 15;
/// From so many training examples on there are so few passes, and wherever a model learns to go on
/// with a text, since each example has many tokens, and more passes are learnt by heart.
const LARGE: u64 = 20_000;
const EPOCHS_LARGE: u32 = 3;

/// What trains on what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Training {
    pub train: u64,
    pub steps_per_epoch: u64,
    /// Or numbers.
    pub outputs: u64,
    pub images: bool,
    /// A text is learnt token by token.
    pub causal: bool,
    /// Nothing but the head trains, in any epoch.
    pub only_head: bool,
}

pub(super) fn epochs(of: Training) -> u32 {
    if of.only_head {
        return EPOCHS_HEAD;
    }
    if LARGE <= of.train || of.causal {
        return EPOCHS_LARGE;
    }
    let updates = UPDATES.max(UPDATES_OF_CLASS * of.outputs);
    let most = if of.images { EPOCHS_MAX_IMAGES } else { EPOCHS_MAX };
    let wanted = updates.div_ceil(of.steps_per_epoch.max(1));
    u32::try_from(wanted).unwrap_or(most).clamp(EPOCHS_MIN, most)
}

/// Up to so many epochs training ends where it was planned to: its rate falls to 0 there.
const EPOCHS_WITHOUT_PATIENCE: u32 = 10;
/// Evaluations without a better score that end a longer run, which come with half epochs then.
const PATIENCE: u32 = 10;

pub(super) fn patience(epochs: u32) -> Option<u32> {
    (EPOCHS_WITHOUT_PATIENCE < epochs).then_some(PATIENCE)
}

/// Updates between evaluations; none: those of an epoch.
pub(super) fn every_steps(patience: Option<u32>, epochs: u32, steps_per_epoch: u64) -> Option<u64> {
    let often = patience.is_some() && EPOCHS_WITHOUT_PATIENCE < epochs;
    (often && 1 < steps_per_epoch).then(|| steps_per_epoch.div_ceil(2))
}

/// From so many training and validation examples on those of validation would add little, and
/// training once more costs more.
const REFIT_BELOW: u64 = 1_000;

/// Whether the finished model is trained once more on training and validation examples together.
pub(super) fn refit(examples: u64) -> bool {
    examples < REFIT_BELOW
}

/// Whose bodies learn alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// Transformers of texts.
    Texts,
    /// Models of images whose norms have no running statistics: ViT, DINOv2, ConvNeXt.
    Layered,
    /// Those whose norms do, which move.
    Convolutional,
    /// Those whose norms keep the base's statistics.
    FrozenStatistics,
}

/// BERT's own fine-tuning rate for its base size (Devlin et al. 2019); narrower models bear more,
/// wider ones less, so it is scaled by the width.
const LR: f64 = 5e-5;
const LR_WIDTH: f64 = 768.0;
/// With AdamW.
const LR_CONVOLUTIONAL: f64 = 2e-4;
/// Batch norm does not take back what large steps do where its statistics stand still.
const LR_FROZEN_STATISTICS: f64 = 5e-5;
/// A new head on frozen features.
const LR_HEAD_ALONE: f64 = 1e-3;

pub(super) fn lr(family: Family, width: i64, only_head: bool) -> f64 {
    match family {
        _ if only_head => LR_HEAD_ALONE,
        Family::Convolutional => LR_CONVOLUTIONAL,
        Family::FrozenStatistics => LR_FROZEN_STATISTICS,
        Family::Texts | Family::Layered => LR * LR_WIDTH / width as f64,
    }
}

/// Of likelihoods beside the base's: what TRL's configs for DPO, KTO, ORPO and CPO have.
const LR_PREFERENCES: f64 = 1e-6;

/// How much faster adapters learn than the weights that they stand in for: LoRA's own rates (Hu et
/// al. 2021, appendix D) are about so many times those of fine-tuning whole.
const ADAPTER_LR_FACTOR: f64 = 10.0;

/// The same of factors ((IA)³): T-Few's rate of 3e-3 (Liu et al. 2022) is so many times BERT's.
const FACTORS_LR_FACTOR: f64 = 60.0;

/// What trains in the place of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Adapted {
    LowRank,
    Factors,
}

/// Of adapters. `lr`: of the body's own weights.
pub(super) fn adapter_lr(lr: f64, adapted: Adapted) -> f64 {
    match adapted {
        Adapted::LowRank => lr * ADAPTER_LR_FACTOR,
        Adapted::Factors => lr * FACTORS_LR_FACTOR,
    }
}

/// Of all that trains, where likelihoods of answers are compared; of LoRA ten times as much, as
/// TRL's guides have it.
pub(super) fn preference_lr(adapted: Option<Adapted>) -> f64 {
    adapted.map_or(LR_PREFERENCES, |it| adapter_lr(LR_PREFERENCES, it))
}

/// Prompts that the model answers in one forward pass with gradients, each several times.
pub(super) const PROMPTS_OF_PASS: u32 = 1;
/// And in one update: with eight answers each, 64, which tell good from bad answers well enough.
const PROMPTS_OF_UPDATE: u32 = 8;

/// Forward passes in one update, of so many prompts each.
pub(super) fn prompts_of_update(batch: u32) -> u32 {
    PROMPTS_OF_UPDATE.div_ceil(batch.max(1))
}

/// Tokens of an answer: TRL's config long had as many. A model of few positions keeps half of them
/// for prompts.
const COMPLETION_MAX: u32 = 256;

pub(super) fn max_completion_length(max_tokens: u32) -> u32 {
    COMPLETION_MAX.min(max_tokens / 2).max(1)
}

/// How far the losses of preferences weigh likelihoods, as TRL's configs have it; SimPO's are of a
/// token, so that its authors' 2 is as much (Meng et al. 2024).
const BETA: f64 = 0.1;
const BETA_SIMPO: f64 = 2.0;
/// Half of SimPO's beta (Meng et al. 2024).
const GAMMA_PART: f64 = 0.5;

pub(super) fn beta(loss: PreferenceLoss) -> f64 {
    if loss == PreferenceLoss::Simpo { BETA_SIMPO } else { BETA }
}

pub(super) fn gamma(beta: f64) -> f64 {
    GAMMA_PART * beta
}

/// Of unwanted answers and of wanted ones: the rarer kind weighs as much in all as the other, which
/// is within TRL's advice.
pub(super) fn verdict_weights(unwanted: u64, wanted: u64) -> Vec<f64> {
    let [few, many] = [unwanted.min(wanted).max(1), unwanted.max(wanted)];
    let weight = |count| if count < many { many as f64 / few as f64 } else { 1.0 };
    vec![weight(unwanted), weight(wanted)]
}

/// How much faster a new head learns than the body that it stands on.
const HEAD_LR_FACTOR: f64 = 5.0;

pub(super) fn head_lr(family: Family, lr: f64, only_head: bool) -> f64 {
    match family {
        _ if only_head => lr,
        // It is fitted to features that change little.
        Family::FrozenStatistics => lr,
        Family::Texts | Family::Layered | Family::Convolutional => lr * HEAD_LR_FACTOR,
    }
}

/// Of layers of images' transformers, as BEiT's and MAE's fine-tuning has it; and of what begins as
/// the probe's features.
const LAYER_DECAY: f64 = 0.75;

pub(super) fn layer_decay(family: Family) -> f64 {
    match family {
        Family::Layered | Family::FrozenStatistics => LAYER_DECAY,
        Family::Texts | Family::Convolutional => 1.0,
    }
}

/// Of what fine-tuning comes to and what training begins with, halves: "reasonable" where none was
/// chosen by hand (Wortsman et al. 2022, Robust fine-tuning of zero-shot models).
const WISE_FT: f64 = 0.5;

/// Of so many training examples and more fine-tuning is worth more than what it began with.
const WISE_FT_BELOW: u64 = 1_000;

/// What fine-tuned weights count where training begins with a probe.
pub(super) fn wise_ft(family: Family, train: u64) -> f64 {
    match family {
        Family::Layered | Family::FrozenStatistics if train < WISE_FT_BELOW => WISE_FT,
        // Texts gain nothing by it, and statistics that moved belong to the weights beside them.
        Family::Texts | Family::Layered | Family::Convolutional | Family::FrozenStatistics => 1.0,
    }
}

/// Smaller batches say little of batch norm's statistics.
const STATISTICS_BATCH: u32 = 16;

/// Whether batch norm keeps the base's statistics: where they move, what the body gives is soon no
/// longer what the probe was fitted to that training begins with.
pub(super) fn frozen_statistics(method: Method, batch: u32) -> bool {
    match method {
        Method::Auto => batch < STATISTICS_BATCH,
        Method::Probe => true,
        Method::Full => false,
    }
}

/// The largest class over the smallest, from which on classes weigh differently.
const IMBALANCE: u64 = 10;

/// Whether one class has many times the examples of another; of those that have any.
pub(super) fn imbalanced(counts: &[u64]) -> bool {
    let counts = || counts.iter().filter(|it| 0 < **it);
    match (counts().min(), counts().max()) {
        (Some(least), Some(most)) => least * IMBALANCE <= *most,
        _ => false,
    }
}

/// Of examples that have one label each.
pub(super) fn class_weights(counts: &[u64]) -> ClassWeights {
    if imbalanced(counts) { ClassWeights::Auto } else { ClassWeights::None }
}

/// Fewer validation examples of a class than these say little of how many of them are found, but
/// still where they stand among the others.
const VALIDATION_OF_RAREST: u64 = 10;

/// Whether it is tuned on validation from which probability on a class is predicted: of several
/// labels each has its own; of two classes the rarer one's. None where there is nothing to tune.
/// `counts`: (train, validation) of each class.
pub(super) fn tune_thresholds(objective: Objective, counts: &[(u64, u64)]) -> Option<bool> {
    match objective {
        Objective::BinaryCrossEntropy => Some(true),
        Objective::CrossEntropy if counts.len() == 2 => {
            let train: Vec<u64> = counts.iter().map(|it| it.0).collect();
            Some(imbalanced(&train) && VALIDATION_OF_RAREST <= rarest(counts))
        }
        Objective::CrossEntropy
        | Objective::SquaredError
        | Objective::NextTokens
        | Objective::TokenCrossEntropy
        | Objective::MaskedTokens
        | Objective::Preferences
        | Objective::Rewards
        | Objective::GroupRelative => None,
    }
}

/// Validation examples of the class that has the fewest.
fn rarest(counts: &[(u64, u64)]) -> u64 {
    counts.iter().map(|it| it.1).min().unwrap_or_default()
}

pub(super) const RANKING: &str = "macro_average_precision";

/// (train, validation) of each class: whether the best step goes by the order of probabilities.
/// Without validation there is none to be chosen.
pub(super) fn best_by_ranking(counts: &[(u64, u64)]) -> bool {
    let train: Vec<u64> = counts.iter().map(|it| it.0).collect();
    let validated = counts.iter().any(|it| 0 < it.1);
    imbalanced(&train) && validated && rarest(counts) < VALIDATION_OF_RAREST
}

/// Of two classes the rarer one is half of a macro average, and of few examples of it fine-tuning
/// learns less than a probe, while too few are held out to tell.
pub(super) fn probe_alone(objective: Objective, counts: &[(u64, u64)]) -> bool {
    objective == Objective::CrossEntropy && counts.len() == 2 && best_by_ranking(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_is_a_fifth_of_few_and_a_hundredth_of_many() {
        let part = |it| validation(it).part;
        assert_eq!([1, 200, 2_500].map(part), [0.2; 3]);
        assert_eq!(part(4_000), 0.125);
        assert_eq!([5_000, 25_000].map(part), [0.1; 2]);
        assert_eq!([100_000, 250_000, 10_000_000].map(part), [0.025, 0.01, 0.01]);
        assert_eq!(validation(100).of_each_class, 5);
    }

    #[test]
    fn few_examples_are_all_learnt_from_in_the_end() {
        assert_eq!([1, 999, 1_000, 50_000].map(refit), [true, true, false, false]);
    }

    #[test]
    fn batches_grow_with_the_data() {
        let sizes = [1, 999, 1_000, 3_999, 4_000, 1_000_000];
        assert_eq!(sizes.map(batch), [8, 8, 16, 16, 32, 32]);
    }

    #[test]
    fn epochs_make_so_many_updates_within_bounds() {
        let of = |train: u64, outputs, images| {
            let steps_per_epoch = train.div_ceil(u64::from(batch(train)));
            epochs(Training {
                train,
                steps_per_epoch,
                outputs,
                images,
                causal: false,
                only_head: false,
            })
        };
        assert_eq!([20, 160, 480, 1_600].map(|it| of(it, 3, false)), [10, 10, 10, 6]);
        assert_eq!([160, 480, 1_600, 3_600].map(|it| of(it, 10, true)), [15, 10, 6, 4]);
        assert_eq!([5_000, 19_999, 20_000].map(|it| of(it, 3, false)), [4, 4, 3]);
        assert_eq!(of(1_600, 60, false), 9, "15 updates for each class");
        let head = Training {
            train: 50_000,
            steps_per_epoch: 1_563,
            outputs: 2,
            images: false,
            causal: false,
            only_head: true,
        };
        assert_eq!(epochs(head), 30);
    }

    #[test]
    fn only_long_runs_have_patience_and_then_look_twice_an_epoch() {
        assert_eq!([3, 10, 11, 30].map(patience), [None, None, Some(10), Some(10)]);
        assert_eq!(every_steps(None, 30, 20), None);
        assert_eq!(every_steps(Some(2), 10, 20), None);
        assert_eq!(every_steps(Some(10), 15, 21), Some(11));
        assert_eq!(every_steps(Some(10), 15, 1), None);
    }

    #[test]
    fn rates_go_by_family_and_width() {
        use Family::{Convolutional, FrozenStatistics, Layered, Texts};
        assert_eq!([Texts, Layered].map(|it| lr(it, 384, false)), [1e-4; 2]);
        assert_eq!([Convolutional, FrozenStatistics].map(|it| lr(it, 1280, false)), [2e-4, 5e-5]);
        assert_eq!(head_lr(FrozenStatistics, 5e-5, false), 5e-5);
        assert_eq!(layer_decay(FrozenStatistics), 0.75);
        assert_eq!([Texts, Layered, Convolutional].map(|it| lr(it, 384, true)), [1e-3; 3]);
        assert_eq!([Texts, Layered, Convolutional].map(layer_decay), [1.0, 0.75, 1.0]);
        for family in [Texts, Layered, Convolutional] {
            let of = |lr, only_head| head_lr(family, lr, only_head);
            assert_eq!((of(1e-4, false), of(1e-3, true)), (1e-4 * HEAD_LR_FACTOR, 1e-3));
        }
    }

    #[test]
    fn the_rarer_verdict_weighs_as_much_as_the_other() {
        assert_eq!(verdict_weights(100, 25), [1.0, 4.0]);
        assert_eq!(verdict_weights(10, 30), [3.0, 1.0]);
        assert_eq!(verdict_weights(7, 7), [1.0, 1.0]);
    }

    #[test]
    fn an_update_is_of_eight_prompts_and_an_answer_of_half_the_room_at_most() {
        assert_eq!([1, 3, 8, 32].map(prompts_of_update), [8, 3, 1, 1]);
        assert_eq!([1, 128, 512, 1_024].map(max_completion_length), [1, 64, 256, 256]);
    }

    #[test]
    fn adapters_learn_ten_times_as_fast_and_factors_sixty_times() {
        let own = lr(Family::Texts, 768, false);
        assert_eq!(adapter_lr(own, Adapted::LowRank), 5e-4);
        assert_eq!(adapter_lr(own, Adapted::Factors), 3e-3);
        assert_eq!(preference_lr(None), 1e-6);
        assert_eq!(preference_lr(Some(Adapted::LowRank)), 10.0 * 1e-6);
        assert_eq!(preference_lr(Some(Adapted::Factors)), 60.0 * 1e-6);
    }

    #[test]
    fn statistics_of_batch_norm_stand_still_in_small_batches_after_a_probe() {
        let auto = [8, 15, 16].map(|it| frozen_statistics(Method::Auto, it));
        assert_eq!(auto, [true, true, false]);
        assert!(!frozen_statistics(Method::Full, 8) && frozen_statistics(Method::Probe, 64));
    }

    #[test]
    fn classes_weigh_differently_from_ten_to_one() {
        assert_eq!(class_weights(&[99, 10]), ClassWeights::None);
        assert_eq!(class_weights(&[100, 500, 10]), ClassWeights::Auto);
        assert_eq!(class_weights(&[100, 0]), ClassWeights::None, "what is nowhere is not rare");
        assert_eq!(class_weights(&[]), ClassWeights::None);
    }

    #[test]
    fn thresholds_are_tuned_of_several_labels_and_of_a_rare_class() {
        use Objective::{BinaryCrossEntropy, CrossEntropy, SquaredError, TokenCrossEntropy};
        let tuned = |objective, train: &[u64]| {
            let counts: Vec<(u64, u64)> = train.iter().map(|&it| (it, it / 5)).collect();
            tune_thresholds(objective, &counts)
        };
        assert_eq!(tuned(BinaryCrossEntropy, &[50, 50, 50]), Some(true));
        assert_eq!(tuned(CrossEntropy, &[500, 50]), Some(true));
        assert_eq!(tuned(CrossEntropy, &[499, 50]), Some(false));
        assert_eq!(tuned(CrossEntropy, &[490, 49]), Some(false), "nine can't tell");
        assert_eq!(tuned(CrossEntropy, &[500, 50, 500]), None, "of more none is one");
        for objective in [SquaredError, TokenCrossEntropy] {
            assert_eq!(tuned(objective, &[9, 900]), None);
        }
    }

    #[test]
    fn of_two_classes_one_of_which_is_rare_a_probe_is_all_that_is_learnt() {
        use Objective::{BinaryCrossEntropy, CrossEntropy};
        assert!(probe_alone(CrossEntropy, &[(380, 95), (20, 5)]));
        assert!(!probe_alone(CrossEntropy, &[(380, 95), (40, 10)]), "enough to tell");
        assert!(!probe_alone(CrossEntropy, &[(380, 95), (20, 5), (380, 95)]), "one of several");
        assert!(!probe_alone(BinaryCrossEntropy, &[(380, 95), (20, 5)]));
    }

    #[test]
    fn a_rare_class_is_ranked() {
        assert!(best_by_ranking(&[(380, 95), (20, 5)]));
        assert!(!best_by_ranking(&[(380, 95), (20, 10)]));
        assert!(!best_by_ranking(&[(20, 5), (20, 5)]), "few, but no fewer than others");
        assert!(best_by_ranking(&[(380, 95), (20, 0)]));
        assert!(!best_by_ranking(&[(380, 0), (20, 0)]), "no validation split");
    }
}
