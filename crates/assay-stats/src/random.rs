//! The random generator: ChaCha8 streams named by a purpose and numbers, with the same draws on every platform.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random draws. Two streams with different names are independent; the same name gives the same draws.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream called `purpose` and `numbers`, such as `("episodes", &[seed])`.
    pub fn new(purpose: &str, numbers: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform on 0..`n`, by masked rejection.
    ///
    /// # Panics
    /// When `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "there must be something to draw from");
        let mask = u64::MAX.checked_shr((n as u64 - 1).leading_zeros()).unwrap_or(0);
        loop {
            let draw = self.0.next_u64() & mask;
            if draw < n as u64 {
                return draw as usize;
            }
        }
    }

    /// Uniform on [0, 1), in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform on [`low`, `high`).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Standard normal (Box and Muller 1958; one of the two values is used).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// `k` different items of `items` in random order (the beginning of a Fisher–Yates shuffle).
    ///
    /// # Panics
    /// When there are fewer than `k`.
    pub fn choose<T: Copy>(&mut self, items: &mut [T], k: usize) -> Vec<T> {
        assert!(k <= items.len(), "cannot choose {k} of {}", items.len());
        for i in 0..k {
            let j = i + self.below(items.len() - i);
            items.swap(i, j);
        }
        items[..k].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_pinned() {
        let mut stream = Stream::new("test", &[1, 2]);
        let draws: Vec<usize> = (0..8).map(|_| stream.below(1000)).collect();
        assert_eq!(draws, [921, 900, 716, 569, 251, 104, 283, 597]);
        let mut again = Stream::new("test", &[1, 2]);
        assert_eq!(again.below(1000), draws[0]);
        assert_ne!(Stream::new("test", &[1, 3]).unit(), Stream::new("test", &[1, 2]).unit());
    }

    #[test]
    fn moments() {
        let mut stream = Stream::new("moments", &[]);
        let n = 20_000;
        let normals: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let mut counts = [0; 6];
        (0..n).for_each(|_| counts[stream.below(6)] += 1);
        assert!(counts.iter().all(|c| (*c as f64 / n as f64 - 1.0 / 6.0).abs() < 0.01), "{counts:?}");
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn choices_are_different_items() {
        let mut items: Vec<u32> = (0..10).collect();
        let mut chosen = Stream::new("choose", &[]).choose(&mut items, 10);
        chosen.sort_unstable();
        assert_eq!(chosen, (0..10).collect::<Vec<_>>());
    }
}
