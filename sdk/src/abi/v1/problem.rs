//! What is learnt: one label to an example, several labels, or numbers.
//!
//! Heads, losses and metrics claim problems in the field `problems` of their functions, or-ed, and
//! are told one of them when they are created. The fields came after the first release: where a
//! writer's struct ends before one, and where it is 0, it means [`PROBLEM_SINGLE_LABEL`], all that
//! there was.

/// One class of each example is true. Outputs are the logits of a softmax over the classes.
pub const PROBLEM_SINGLE_LABEL: u64 = 1;
/// Any number of classes of each example are true, also none. Outputs are a logit for each class.
pub const PROBLEM_MULTI_LABEL: u64 = 2;
/// Numbers are learnt, an output for each. Heads and losses work in the model's own units, where
/// the training examples of each number have mean 0 and deviation 1; metrics see what people see,
/// the data's units.
pub const PROBLEM_REGRESSION: u64 = 4;
