//! What is shown of the images of a data set, and in which words.

use crate::images::data_uri;
use crate::story::Story;
use finetuned_job::data::{Sheet, SheetSubject};
use finetuned_job::outcome::thousands;
use minijinja::{Value, context};
use serde_json::Value as Json;

/// `suspicious` and `classes`, contact sheets; `augmented`, one strip; `left_out`, sheets that only
/// the run folder has.
pub(super) fn gallery(story: &Story) -> Value {
    let is_class =
        |it: &&(Sheet, Vec<u8>)| matches!(it.0.subject, SheetSubject::Class(_) | SheetSubject::All);
    let (classes, suspicious): (Vec<_>, Vec<_>) = story.images.sheets.iter().partition(is_class);
    let all = story.data.images.as_ref().map_or(0, |it| it.sheets.len());
    context! {
        classes => classes.into_iter().map(shown).collect::<Vec<_>>(),
        suspicious => suspicious.into_iter().map(shown).collect::<Vec<_>>(),
        augmented => story.images.augmented.map(data_uri),
        left_out => all.saturating_sub(story.images.sheets.len()),
    }
}

fn shown((sheet, png): &(Sheet, Vec<u8>)) -> Value {
    let title = match &sheet.subject {
        SheetSubject::Class(class) => class.as_str(),
        SheetSubject::All => "All images",
        SheetSubject::NearDuplicates => "Look alike, pair by pair",
        SheetSubject::ConflictingLabels => "Same file, different labels",
        SheetSubject::Blank => "Of one colour throughout",
    };
    let of = if sheet.shown < sheet.total {
        format!("{} of {}", thousands(sheet.shown), thousands(sheet.total))
    } else {
        thousands(sheet.total)
    };
    context! { title, of, src => data_uri(png) }
}

/// How training images are changed, in words; empty where they are not.
pub(super) fn augmentation(augment: Option<&Json>) -> Vec<String> {
    let Some(augment) = augment else { return Vec::new() };
    let number =
        |pointer: &str| augment.pointer(pointer).and_then(Json::as_f64).filter(|it| *it != 0.0);
    let mut words = Vec::new();
    if let (Some(low), Some(high)) = (number("/crop/area/0"), number("/crop/area/1")) {
        words.push(format!(
            "a random {:.0} to {:.0}\u{a0}% of the area",
            low * 100.0,
            high * 100.0
        ));
    }
    if let (Some(ops), Some(magnitude)) =
        (number("/rand_augment/ops"), number("/rand_augment/magnitude"))
    {
        words.push(format!("RandAugment of {ops} operations at magnitude {magnitude}"));
    }
    let parts = [
        ("/horizontal_flip", "flipped left to right with probability"),
        ("/vertical_flip", "upside down with probability"),
        ("/jitter/brightness", "brightness ±"),
        ("/jitter/contrast", "contrast ±"),
        ("/jitter/saturation", "saturation ±"),
        ("/jitter/hue", "hue ±"),
        ("/erasing", "a rectangle erased with probability"),
        ("/mixing/mixup_alpha", "mixup, alpha"),
        ("/mixing/cutmix_alpha", "CutMix, alpha"),
    ];
    words.extend(
        parts
            .iter()
            .filter_map(|(pointer, what)| Some(format!("{what}\u{a0}{}", number(pointer)?))),
    );
    words
}
