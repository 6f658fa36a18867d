//! Files that are no images, each with the sentence that stands beside it in the quarantine list.

use expect_test::{Expect, expect};
use finetuned_images::{Format, decode, probe};

use crate::support::file;

#[track_caller]
fn check(bytes: &[u8], expected: Expect) {
    let err = decode(bytes).map(|(facts, _)| facts).expect_err("broken");
    expected.assert_eq(&err.to_string());
}

#[test]
fn what_is_no_image() {
    check(b"", expect!["the file is empty"]);
    check(b"file_name,label\ncat.png,cat\n", expect!["this is text, not an image"]);
    check("Grüße aus München".as_bytes(), expect!["this is text, not an image"]);
    check(
        b"BMW drives, Audi too, and this is a text of some length",
        expect!["this is text, not an image"],
    );
    check(
        b"\x00\x01\x02\x03\x04\x05\x06\x07",
        expect![
            "this is not an image: its bytes do not begin like JPEG, PNG, WebP, GIF, BMP or TIFF"
        ],
    );
    check(
        b"<?xml version=\"1.0\"?>\n<svg width=\"10\"/>",
        expect!["this is an SVG drawing, which is not read; save it as JPEG or PNG"],
    );
    check(
        b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00",
        expect!["this is a HEIC image, which is not read; save it as JPEG or PNG"],
    );
    check(
        b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00",
        expect!["this is an AVIF image, which is not read; save it as JPEG or PNG"],
    );
    check(b"%PDF-1.7\n", expect!["this is a PDF, which is not read; save it as JPEG or PNG"]);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    assert_eq!(probe(&file("bomb.png")), decode(&file("bomb.png")).map(|(facts, _)| facts));
    check(
        &file("bomb.png"),
        expect![
            "the image has 30000 x 30000 pixels, more than the 100 million that are read; make it smaller"
        ],
    );
    // The same in the header of a JPEG: 65,500 x 65,500.
    let mut jpeg = file("baseline.jpg");
    let frame = jpeg.windows(2).position(|it| it == [0xFF, 0xC0]).expect("baseline");
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    check(
        &jpeg,
        expect![
            "the image has 65500 x 65500 pixels, more than the 100 million that are read; make it smaller"
        ],
    );
}

#[test]
fn what_is_cut_off_half_way() {
    let half = |name: &str| file(name)[..file(name).len() / 2 + 50].to_vec();
    check(&half("baseline.jpg"), expect!["the JPEG ends too early; copy the file again"]);
    check(&half("progressive.jpg"), expect!["the JPEG ends too early; copy the file again"]);
    check(&half("rgb.png"), expect!["the PNG ends too early; copy the file again"]);
    check(&half("lossless.webp"), expect!["the WebP ends too early; copy the file again"]);
    check(&half("lossy.webp"), expect!["the WebP ends too early; copy the file again"]);
    check(&half("still.gif"), expect!["the GIF ends too early; copy the file again"]);
    check(&half("rgb.bmp"), expect!["the BMP ends too early; copy the file again"]);
    check(&half("rgb.tiff"), expect!["the TIFF ends too early; copy the file again"]);
    check(&half("grey.tiff"), expect!["the TIFF ends too early; copy the file again"]);
}

#[test]
fn what_is_damaged_or_rare() {
    let mut png = file("rgb.png");
    let middle = png.len() / 2;
    png[middle] ^= 0xFF;
    check(&png, expect!["the PNG is damaged; copy the file again or leave it out"]);
    check(
        &file("palette.tiff"),
        expect!["this kind of TIFF is not read; save it as PNG with 8 bits"],
    );
    // A frame without height.
    let mut jpeg = file("baseline.jpg");
    let frame = jpeg.windows(2).position(|it| it == [0xFF, 0xC0]).expect("baseline");
    jpeg[frame + 5..frame + 7].fill(0);
    check(&jpeg, expect!["the image has no pixels: it is 0 x 0"]);
}

/// The last byte of the last row may be missing without anybody seeing it; all that is cut off
/// earlier is noticed.
#[test]
fn a_copy_that_stopped_anywhere_never_panics_and_rarely_passes() {
    for name in [
        "baseline.jpg",
        "progressive.jpg",
        "rgb.png",
        "lossless.webp",
        "lossy.webp",
        "still.gif",
        "rgb.bmp",
        "rgb.tiff",
    ] {
        let whole = file(name);
        let (_, pixels) = decode(&whole).expect(name);
        for length in 0..whole.len() {
            if let Ok((_, cut)) = decode(&whole[..length]) {
                assert!(
                    whole.len() * 9 / 10 < length,
                    "{name}: {length} of {} bytes pass",
                    whole.len()
                );
                assert_eq!((cut.width(), cut.height()), (pixels.width(), pixels.height()));
            }
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    for name in [
        "baseline.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "rgb.png",
        "palette.png",
        "lossless.webp",
        "lossy_alpha.webp",
        "moving.gif",
        "palette.bmp",
        "rgb.tiff",
    ] {
        let whole = file(name);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            // Sizes in a header may have grown within what is allowed; that is decoded elsewhere.
            if probe(&damaged).is_ok_and(|it| it.width * it.height < 1_000_000) {
                let _ = decode(&damaged);
            }
        }
    }
}

/// Found by fuzzing: a rule of JPEG is broken in the header, not in the pixels.
#[test]
fn what_can_be_decoded_leniently_can_be_probed() {
    let damaged = include_bytes!("../../../../tests/fuzz/corpus/image/lenient.jpg");
    assert_eq!(probe(damaged), decode(damaged).map(|(facts, _)| facts));
    assert!(probe(damaged).is_ok());
}

#[test]
fn the_kind_is_known_by_content() {
    for (name, format) in [
        ("rgb.png", Format::Png),
        ("rgb.bmp", Format::Bmp),
        ("still.gif", Format::Gif),
        ("rgb.tiff", Format::Tiff),
    ] {
        assert_eq!(Format::of(&file(name)), Some(format));
    }
    assert_eq!(Format::of(b"not one"), None);
}
