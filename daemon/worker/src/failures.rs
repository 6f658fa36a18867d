//! Words for a person out of whatever went wrong.

use finetuned_job::outcome::{Failure, FailureKind};

pub(crate) fn model_failure(err: finetuned_models::ModelError) -> Failure {
    Failure::new(FailureKind::Model, err.to_string())
}
