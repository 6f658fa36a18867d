//! Reads what `tests/data/make_fixtures.py` made.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use finetuned_images::Pixels;
use safetensors::{Dtype, SafeTensors};

pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn file(name: &str) -> Vec<u8> {
    fs::read(data("files").join(name)).expect(name)
}

#[derive(Default)]
pub struct Fixture {
    pub images: BTreeMap<String, Pixels>,
    pub numbers: BTreeMap<String, Vec<f32>>,
}

pub fn fixture(name: &str) -> Fixture {
    let bytes = fs::read(data(name)).expect(name);
    let mut fixture = Fixture::default();
    for (name, tensor) in SafeTensors::deserialize(&bytes).expect("made by safetensors").tensors() {
        match (tensor.dtype(), tensor.shape()) {
            (Dtype::U8, &[height, width, 3]) => {
                fixture
                    .images
                    .insert(name, Pixels::new(width as u32, height as u32, tensor.data().to_vec()));
            }
            (Dtype::F32, _) => {
                let numbers = tensor
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|it| f32::from_le_bytes(*it))
                    .collect();
                fixture.numbers.insert(name, numbers);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    fixture
}

/// Mean and largest difference of values.
#[track_caller]
pub fn difference(one: &Pixels, other: &Pixels) -> (f64, u8) {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let differences: Vec<u8> =
        one.data().iter().zip(other.data()).map(|(one, other)| one.abs_diff(*other)).collect();
    let sum: u64 = differences.iter().map(|it| u64::from(*it)).sum();
    (sum as f64 / differences.len() as f64, differences.into_iter().max().unwrap_or(0))
}

/// Something to look at, without a file.
pub fn gradient(width: u32, height: u32) -> Pixels {
    let pixel = |x: u32, y: u32| {
        [(x * 255 / width) as u8, (y * 255 / height) as u8, ((x * 7 + y * 13) % 256) as u8]
    };
    Pixels::new(
        width,
        height,
        (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect(),
    )
}
