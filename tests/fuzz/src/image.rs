//! The bytes of an image: pixels of the size that the header names, or a reason.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let probed = finetuned_images::probe(bytes);
    if let Ok((facts, pixels)) = finetuned_images::decode(bytes) {
        let probed = probed.expect("what can be decoded has a header");
        assert_eq!((probed.width, probed.height), (facts.width, facts.height));
        assert_eq!((pixels.width(), pixels.height()), (facts.width, facts.height));
    }
});
