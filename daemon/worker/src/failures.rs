//! Words for a person out of whatever went wrong: its kind, and a cure.

use finetuned_job::outcome::{Failure, FailureKind};

pub(crate) fn model_failure(err: finetuned_models::ModelError) -> Failure {
    Failure::new(FailureKind::Model, err.to_string())
}

/// Of whatever a stage left.
pub(crate) fn of(err: anyhow::Error) -> Failure {
    if let Some(failure) = err.downcast_ref::<Failure>() {
        return failure.clone();
    }
    let message = format!("{err:#}");
    let io = err.chain().find_map(|it| it.downcast_ref::<std::io::Error>());
    let retry = "then `finetuned retry JOB`: it continues from the last checkpoint";
    if finetuned_libtorch::out_of_memory(&message) {
        return Failure::new(FailureKind::Memory, message).with_cure(format!(
            "lower train.batch or data.max_tokens, or raise the memory ceiling; {retry}"
        ));
    }
    match io.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) => {
            Failure::new(FailureKind::Disk, message).with_cure(format!("free some space, {retry}"))
        }
        Some(_) => Failure::new(FailureKind::Disk, message)
            .with_cure(format!("mend what the message names, {retry}")),
        None => Failure::new(FailureKind::Internal, message)
            .with_cure("this is a defect of finetuned: please report it with worker.log"),
    }
}

/// With the place where it went wrong before it.
pub(crate) fn at(place: &str, err: anyhow::Error) -> anyhow::Error {
    match err.downcast::<Failure>() {
        Ok(it) => Failure { message: format!("{place}: {}", it.message), ..it }.into(),
        Err(other) => other.context(place.to_owned()),
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
