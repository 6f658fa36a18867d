//! Each operation against Pillow's result. Names of the fixture carry the argument.

use std::fs;

use safetensors::SafeTensors;

use super::{colour, geometry};
use crate::Pixels;
use crate::resize::{Filter, Window, resize};

/// As `make_fixtures.py` has it.
const FILL: [u8; 3] = [124, 116, 104];

fn fixture() -> Vec<(String, Pixels)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/operations.safetensors");
    let bytes = fs::read(path).expect("made by make_fixtures.py");
    let tensors = SafeTensors::deserialize(&bytes).expect("made by safetensors");
    let pixels = |it: &[usize], data: &[u8]| Pixels::new(it[1] as u32, it[0] as u32, data.to_vec());
    tensors.tensors().into_iter().map(|(name, it)| (name, pixels(it.shape(), it.data()))).collect()
}

fn made(name: &str, source: &Pixels, dull: &Pixels) -> Pixels {
    let (operation, argument) = name.rsplit_once('_').unwrap_or((name, ""));
    let number = || argument.parse::<f64>().expect(name);
    let factor = || argument.parse::<f32>().expect(name);
    let mut image = source.clone();
    match operation {
        "brightness" => colour::brightness(&mut image, factor()),
        "contrast" => colour::contrast(&mut image, factor()),
        "saturation" => colour::saturation(&mut image, factor()),
        "sharpness" => colour::sharpness(&mut image, factor()),
        "hue" => colour::hue(&mut image, number()),
        "posterize" => colour::posterize(&mut image, number() as u32),
        "solarize" => colour::solarize(&mut image, number() as u32),
        "solarize_add" => colour::solarize_add(&mut image, number() as u8),
        "rotate" => {
            return geometry::transform(
                source,
                geometry::rotate(number(), source.width(), source.height()),
                FILL,
            );
        }
        "shear_x" => return geometry::transform(source, geometry::shear_x(number()), FILL),
        "shear_y" => return geometry::transform(source, geometry::shear_y(number()), FILL),
        "translate_x" => {
            return geometry::transform(
                source,
                geometry::translate(number() * f64::from(source.width()), 0.0),
                FILL,
            );
        }
        "translate_y" => {
            return geometry::transform(
                source,
                geometry::translate(0.0, number() * f64::from(source.height())),
                FILL,
            );
        }
        "resized_crop" => {
            let part = source.cut(5, 3, 17, 14);
            return resize(&part, Window::whole(&part), (20, 20), Filter::Bicubic);
        }
        "flip_left" => return image.flipped_horizontally(),
        "flip_top" => return image.flipped_vertically(),
        _ => match name {
            "invert" => colour::invert(&mut image),
            "auto_contrast" => return with(dull, colour::auto_contrast),
            "equalize" => return with(dull, colour::equalize),
            _ => panic!("{name} is not tested"),
        },
    }
    image
}

fn with(image: &Pixels, change: fn(&mut Pixels)) -> Pixels {
    let mut image = image.clone();
    change(&mut image);
    image
}

#[test]
fn operations_are_those_of_pillow_and_torchvision() {
    let fixture = fixture();
    let named = |wanted: &str| &fixture.iter().find(|(name, _)| name == wanted).expect(wanted).1;
    let (source, dull) = (named("source"), named("dull"));
    let mut wrong = Vec::new();
    for (name, expected) in
        fixture.iter().filter(|(name, _)| !matches!(name.as_str(), "source" | "dull"))
    {
        let image = made(name, source, dull);
        let most =
            image.data().iter().zip(expected.data()).map(|(one, other)| one.abs_diff(*other)).max();
        // The weights of filters have fewer bits than Pillow's.
        let allowed = u8::from(name.starts_with("resized"));
        if (image.width(), image.height()) != (expected.width(), expected.height())
            || Some(allowed) < most
        {
            let differing = image
                .data()
                .iter()
                .zip(expected.data())
                .filter(|(one, other)| one != other)
                .count();
            wrong.push(format!("{name}: {differing} values, {most:?} at most"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(fixture.len(), 37);
}
