//! The hash is ImageHash's, copies are near, others far.

use std::collections::BTreeMap;
use std::fs;

use finetuned_images::{NEAR_DUPLICATE_BITS, hash_distance, perceptual_hash};

use crate::support::{data, fixture};

#[test]
fn the_hash_is_that_of_imagehash() {
    let text = fs::read_to_string(data("hashes.json")).expect("made by the script");
    let expected: BTreeMap<String, String> = serde_json::from_str(&text).expect("JSON");
    let pictures = fixture("hashes.safetensors").pictures;
    assert_eq!(pictures.len(), expected.len());
    for (name, picture) in &pictures {
        assert_eq!(format!("{:016x}", perceptual_hash(picture)), expected[name], "{name}");
    }
}

#[test]
fn copies_are_near_and_others_far() {
    let pictures = fixture("hashes.safetensors").pictures;
    let source = perceptual_hash(&pictures["source"]);
    for name in ["half", "compressed", "brighter", "blurred"] {
        let distance = hash_distance(source, perceptual_hash(&pictures[name]));
        assert!(distance <= NEAR_DUPLICATE_BITS, "{name}: {distance} bits");
    }
    for name in ["other", "another"] {
        let distance = hash_distance(source, perceptual_hash(&pictures[name]));
        assert!(3 * NEAR_DUPLICATE_BITS < distance, "{name}: {distance} bits");
    }
}
