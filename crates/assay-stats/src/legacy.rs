//! The generator of `numpy.random.RandomState`, for splits that published code drew with it.
//!
//! MT19937 (Matsumoto and Nishimura 1998) seeded by `init_genrand`, bounded draws by masked rejection: what
//! `numpy.random.seed(s); numpy.random.shuffle(list)` does since numpy 1.0 and, by its compatibility promise, will do.

const N: usize = 624;
const M: usize = 397;

/// `numpy.random.RandomState(seed)`.
#[derive(Clone)]
pub struct LegacyNumpy {
    state: [u32; N],
    next: usize,
}

impl LegacyNumpy {
    /// The state after `numpy.random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut state = [0; N];
        state[0] = seed;
        for i in 1..N {
            let before = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    fn refill(&mut self) {
        for i in 0..N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    fn draw(&mut self) -> u32 {
        if self.next == N {
            self.refill();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform on 0..=`most`.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let draw = self.draw() & mask;
            if draw <= most {
                return draw;
            }
        }
    }

    /// `numpy.random.shuffle(items)` of a list: from the last item down, each changes places with one at or before it.
    ///
    /// # Panics
    /// With more than 2³² items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let most = u32::try_from(i).expect("at most 2^32 items");
            let j = self.up_to(most) as usize;
            items.swap(i, j);
        }
    }

    /// `seed(seed); indices = list(range(n)); shuffle(indices)`.
    pub fn shuffled_range(seed: u32, n: usize) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..n).collect();
        Self::new(seed).shuffle(&mut indices);
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draws_are_those_of_the_reference_implementation() {
        // init_genrand(5489) is the default seed of mt19937ar.c, whose first outputs are widely published.
        let mut generator = LegacyNumpy::new(5489);
        assert_eq!([generator.draw(), generator.draw(), generator.draw()], [3_499_211_612, 581_869_302, 3_890_346_734]);
    }

    #[test]
    fn ten_items_with_seed_zero() {
        assert_eq!(LegacyNumpy::shuffled_range(0, 10), [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
        assert_eq!(LegacyNumpy::shuffled_range(0, 0), [0usize; 0]);
        assert_eq!(LegacyNumpy::shuffled_range(7, 1), [0]);
    }
}
