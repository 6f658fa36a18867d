//! Every kind of file becomes the pixels that Pillow makes of it.

use expect_test::{Expect, expect};
use finetuned_images::{Format, decode, probe};

use crate::support::{difference, file, fixture};

/// JPEG and lossy WebP leave rounding, and the enlarging of colour, to the decoder: means of these
/// were seen, and 1/255 on average is what is promised for whatever comes after.
const LOSSY_MEAN_MAX: f64 = 1.0;

#[test]
fn files_are_decoded_as_pillow_does() {
    let fixture = fixture("decoded.safetensors");
    assert_eq!(fixture.images.len(), 40);
    for (name, expected) in &fixture.images {
        let (facts, pixels) = decode(&file(name)).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!((facts.width, facts.height), (pixels.width(), pixels.height()), "{name}");
        assert_eq!(probe(&file(name)), Ok(facts), "{name}");
        let (mean, most) = difference(&pixels, expected);
        let lossy = facts.format == Format::Jpeg || name.starts_with("lossy");
        if lossy {
            assert!(mean <= LOSSY_MEAN_MAX, "{name}: {mean} on average, {most} at most");
        } else {
            assert_eq!(most, 0, "{name}: {mean} on average");
        }
    }
}

#[track_caller]
fn check_facts(name: &str, expected: Expect) {
    let facts = probe(&file(name)).expect(name);
    let alpha = if facts.alpha { " with alpha" } else { "" };
    let turned = if facts.turned { ", turned" } else { "" };
    let text = format!(
        "{} {} x {} {:?} {} bit{alpha}{turned}",
        facts.format, facts.width, facts.height, facts.colour, facts.bits
    );
    expected.assert_eq(&text);
}

#[test]
fn headers_tell_what_a_file_is() {
    check_facts("progressive.jpg", expect!["JPEG 24 x 18 Rgb 8 bit"]);
    check_facts("grey.jpg", expect!["JPEG 24 x 18 Grey 8 bit"]);
    check_facts("cmyk.jpg", expect!["JPEG 24 x 18 Cmyk 8 bit"]);
    check_facts("orientation_2.jpg", expect!["JPEG 16 x 10 Rgb 8 bit, turned"]);
    check_facts("orientation_6.jpg", expect!["JPEG 10 x 16 Rgb 8 bit, turned"]);
    check_facts("palette.png", expect!["PNG 24 x 18 Palette 8 bit"]);
    check_facts("palette_transparent.png", expect!["PNG 24 x 18 Palette 8 bit with alpha"]);
    check_facts("black_white.png", expect!["PNG 24 x 18 Grey 8 bit"]);
    check_facts("grey_alpha.png", expect!["PNG 24 x 18 Grey 8 bit with alpha"]);
    check_facts("grey16.png", expect!["PNG 24 x 18 Grey 16 bit"]);
    check_facts("alpha16.png", expect!["PNG 24 x 18 Rgb 16 bit with alpha"]);
    check_facts("lossy_alpha.webp", expect!["WebP 24 x 18 Rgb 8 bit with alpha"]);
    check_facts("moving.gif", expect!["GIF 24 x 18 Palette 8 bit with alpha"]);
    check_facts("palette.bmp", expect!["BMP 24 x 18 Palette 8 bit"]);
    check_facts("rgb.bmp", expect!["BMP 24 x 18 Rgb 8 bit"]);
    check_facts("cmyk.tiff", expect!["TIFF 24 x 18 Cmyk 8 bit"]);
    check_facts("turned.tiff", expect!["TIFF 24 x 18 Rgb 8 bit, turned"]);
}
