//! Random numbers that depend on where they are used and on nothing before: each place has a ChaCha
//! stream of its own.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub(crate) struct Draws(ChaCha8Rng);

/// Uses that must not share a stream. Numbers are part of what a seed means: never reuse one.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Augment = 1,
    Mix = 2,
}

impl Draws {
    pub(crate) fn at(seed: u64, epoch: u64, index: u64, purpose: Use) -> Draws {
        let mut key = [0; 32];
        for (bytes, number) in
            key.as_chunks_mut::<8>().0.iter_mut().zip([seed, epoch, index, purpose as u64])
        {
            *bytes = number.to_le_bytes();
        }
        Draws(ChaCha8Rng::from_seed(key))
    }

    /// In [0, 1), 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// In 0..n; the bias of a 53 bit fraction is beyond what images can show.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        (self.unit() * f64::from(n)) as u32
    }

    /// Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Beta(alpha, alpha) from two gamma variates.
    pub(crate) fn beta(&mut self, alpha: f64) -> f64 {
        let (x, y) = (self.gamma(alpha), self.gamma(alpha));
        // Both underflow for tiny alpha, where the distribution is all at the two ends.
        if x + y == 0.0 { self.unit().round() } else { x / (x + y) }
    }

    /// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below one as in
    /// their section 6.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let boost = (1.0 - self.unit()).powf(1.0 / shape);
            return self.gamma(shape + 1.0) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if 0.0 < v && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}
