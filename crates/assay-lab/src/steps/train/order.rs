//! The order in which images are learnt from.

use std::sync::Mutex;

use assay_stats::Stream;

/// A new permutation of the images for every epoch, cut into batches.
pub(crate) struct Order {
    count: usize,
    batch: usize,
    seed: u64,
    /// Batches in an epoch.
    each_epoch: u64,
    /// The order of images in the epoch that was asked for last.
    last: Mutex<Option<(u64, Vec<usize>)>>,
}

impl Order {
    /// The order of `count` images in batches of `batch`; the images that are left over at the end of an epoch are left out.
    pub fn of_full_batches(count: usize, batch: usize, seed: u64) -> Self {
        Self { count, batch, seed, each_epoch: (count / batch).max(1) as u64, last: Mutex::default() }
    }

    /// The same, where what is left over is a batch too, as `torch.utils.data.DataLoader` has it.
    pub fn of_all(count: usize, batch: usize, seed: u64) -> Self {
        Self { each_epoch: count.div_ceil(batch).max(1) as u64, ..Self::of_full_batches(count, batch, seed) }
    }

    /// Indices of the images of a step, a function of its number alone.
    pub fn of_step(&self, step: u32) -> Vec<usize> {
        let (epoch, at) = (u64::from(step) / self.each_epoch, (u64::from(step) % self.each_epoch) as usize);
        let first = (at * self.batch).min(self.count);
        let last = (first + self.batch).min(self.count);
        let mut known = self.last.lock().expect("no panic while locked");
        match &*known {
            Some((of, order)) if *of == epoch => order[first..last].to_vec(),
            _ => {
                let mut all: Vec<usize> = (0..self.count).collect();
                let order = Stream::new("order", &[self.seed, epoch]).choose(&mut all, self.count);
                let chosen = order[first..last].to_vec();
                *known = Some((epoch, order));
                chosen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_every_image_once_in_another_order() {
        let order = Order::of_all(10, 4, 7);
        let epoch = |first: u32| (first..first + 3).map(|step| order.of_step(step)).collect::<Vec<_>>();
        let (one, two) = (epoch(0), epoch(3));
        assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        for epoch in [&one, &two] {
            let mut all = epoch.concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(one, two);
        assert_eq!(epoch(0), one, "a function of the step alone");
        assert_ne!(Order::of_all(10, 4, 8).of_step(0), one[0]);
        let full = Order::of_full_batches(10, 4, 7);
        assert_eq!((0..4).map(|step| full.of_step(step).len()).collect::<Vec<_>>(), [4; 4]);
        assert_eq!(Order::of_all(3, 4, 0).of_step(5).len(), 3, "a batch is no larger than the dataset");
    }
}
