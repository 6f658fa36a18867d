//! The hash is ImageHash's, copies are near, others far.

use std::collections::BTreeMap;
use std::fs;

use finetuned_images::{Look, NEAR_DUPLICATE_BITS, Pixels, hash_distance};

use crate::support::{data, fixture};

#[test]
fn the_hash_is_that_of_imagehash() {
    let text = fs::read_to_string(data("hashes.json")).expect("made by the script");
    let expected: BTreeMap<String, String> = serde_json::from_str(&text).expect("JSON");
    let images = fixture("hashes.safetensors").images;
    assert_eq!(images.len(), expected.len());
    for (name, image) in &images {
        assert_eq!(format!("{:016x}", Look::of(image).hash), expected[name], "{name}");
    }
}

#[test]
fn copies_are_near_and_others_far() {
    let images = fixture("hashes.safetensors").images;
    let source = Look::of(&images["source"]);
    for name in ["half", "compressed", "brighter", "blurred"] {
        let copy = Look::of(&images[name]);
        assert!(
            source.is_near(&copy),
            "{name}: {} bits, {:?} and {:?}",
            hash_distance(source.hash, copy.hash),
            source.grey,
            copy.grey
        );
    }
    for name in ["other", "another"] {
        let distance = hash_distance(source.hash, Look::of(&images[name]).hash);
        assert!(3 * NEAR_DUPLICATE_BITS < distance, "{name}: {distance} bits");
    }
}

/// A shirt on black, with or without a badge: their hashes hardly differ. Light falls on it from
/// one side: of what is the same on both sides half of the frequencies vanish, and roundings decide
/// their bits.
#[test]
fn what_differs_in_one_place_is_no_copy() {
    let shirt = |shade: u32, badge: u32| {
        let value = |x: u32, y: u32| match (x, y) {
            (12..16, 8..12) => shade - 3 * x - y - badge,
            (8..20, 4..26) | (3..25, 4..10) => shade - 3 * x - y,
            _ => 0,
        };
        Pixels::new(
            28,
            28,
            (0..28 * 28).flat_map(|it| [value(it % 28, it / 28) as u8; 3]).collect(),
        )
    };
    let plain = Look::of(&shirt(220, 0));
    let with_badge = Look::of(&shirt(220, 80));
    assert!(
        hash_distance(plain.hash, with_badge.hash) <= NEAR_DUPLICATE_BITS,
        "{:016x} and {:016x}",
        plain.hash,
        with_badge.hash
    );
    assert!(!plain.is_near(&with_badge), "{:?} and {:?}", plain.grey, with_badge.grey);
    let brighter = Look::of(&shirt(235, 0));
    assert!(
        plain.is_near(&brighter),
        "a brighter copy: {} bits, {:?} and {:?}",
        hash_distance(plain.hash, brighter.hash),
        plain.grey,
        brighter.grey
    );
}
