//! How long one image takes on one core: `cargo run --release -p finetuned-images --example speed
//! -- FILE...`

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use finetuned_images::{Augment, Filter, Fit, Library, Look, Preprocess, Preset, decode};

const REPEATS: u32 = 50;

fn main() -> std::io::Result<()> {
    // What most models of timm have.
    let preprocess = Preprocess {
        library: Library::Timm,
        height: 224,
        width: 224,
        fit: Fit::Center,
        crop_pct: 0.875,
        filter: Filter::Bicubic,
        rescale: 1.0 / 255.0,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };
    for path in std::env::args().skip(1) {
        let bytes = fs::read(&path)?;
        let (facts, pixels) = match decode(&bytes) {
            Ok(decoded) => decoded,
            Err(err) => {
                println!("{path}: {err}");
                continue;
            }
        };
        println!("{path}: {} x {}, {} bytes", facts.width, facts.height, bytes.len());
        time("decode", || decode(&bytes));
        time("prepare", || preprocess.prepare(&pixels));
        for preset in [Preset::Light, Preset::Strong] {
            let augment = Augment::preset(preset);
            let mut index = 0;
            time(&format!("augment, {preset:?}"), || {
                index += 1;
                augment.apply(&preprocess, &pixels, 0, 0, index)
            });
        }
        time("perceptual hash", || Look::of(&pixels));
    }
    Ok(())
}

fn time<T>(what: &str, mut run: impl FnMut() -> T) {
    black_box(run());
    let start = Instant::now();
    for _ in 0..REPEATS {
        black_box(run());
    }
    println!("  {what}: {:.2} ms", start.elapsed().as_secs_f64() * 1000.0 / f64::from(REPEATS));
}
