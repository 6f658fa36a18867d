//! Measures dropout against libtorch's own, forward and backward, in the sizes of a MiniLM step:
//! `cargo run --release -p finetuned-libtorch --example dropout_speed [threads]`.

use finetuned_libtorch::{dropout, dropout_add};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const REPEATS: usize = 60;

/// Median milliseconds of forward and of backward.
fn measure(x: &Tensor, incoming: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> (f64, f64) {
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let start = Instant::now();
        let y = f(x);
        forward.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let _grads = Tensor::run_backward(
            &[(&y, incoming)].map(|(y, g)| (y * g).sum(Kind::Float)),
            &[x],
            false,
            false,
        );
        backward.push(start.elapsed().as_secs_f64() * 1e3);
    }
    forward.sort_by(f64::total_cmp);
    backward.sort_by(f64::total_cmp);
    (forward[REPEATS / 2], backward[REPEATS / 2])
}

fn main() {
    let threads = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(2);
    tch::set_num_threads(threads);
    println!(
        "{threads} threads, p = 0.1, fp32, median of {REPEATS}, milliseconds (backward includes a product and a sum)"
    );
    for width in [384, 1536] {
        let x =
            Tensor::randn([32 * 150, width], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let r = Tensor::randn_like(&x).detach();
        let show = |name: &str, (forward, backward): (f64, f64)| {
            println!("(4800, {width:4}) {name:24} forward {forward:7.2} backward {backward:7.2}")
        };
        show("nothing", measure(&x, &r, |x| x.shallow_clone()));
        show("libtorch dropout", measure(&x, &r, |x| x.dropout(0.1, true)));
        show("dropout", measure(&x, &r, |x| dropout(x, 0.1, 1, 2)));
        show("libtorch dropout, then +", measure(&x, &r, |x| x.dropout(0.1, true) + &r));
        show("dropout_add", measure(&x, &r, |x| dropout_add(x, &r, 0.1, 1, 2)));
        show("copy", measure(&x, &r, |x| x.copy()));
    }
}
