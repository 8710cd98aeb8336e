//! Features of many images: decoding overlapped with inference.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use burn::tensor::{Tensor, TensorData};

use crate::backbone::Net;
use crate::device::OpenDevice;

/// A model ready for inference.
#[derive(Clone, Debug)]
pub struct Extractor {
    /// The network, folded; `None` gives the input itself.
    net: Option<Net>,
    device: OpenDevice,
    channels: usize,
    side: usize,
}

impl Extractor {
    /// An extractor for inputs of `channels` × `side` × `side`.
    pub fn new(net: Option<Net>, device: OpenDevice, channels: usize, side: usize) -> Self {
        Self { net: net.map(Net::fold), device, channels, side }
    }

    /// Features of a batch: B × (C·H·W) numbers → B × D numbers.
    pub fn forward(&self, batch: Vec<f32>) -> Vec<f32> {
        let Some(net) = &self.net else { return batch };
        let each = self.channels * self.side * self.side;
        let shape = [batch.len() / each, self.channels, self.side, self.side];
        let x = Tensor::<4>::from_data(TensorData::new(batch, shape), &self.device.device);
        net.forward(x).into_data().iter::<f32>().collect()
    }
}

/// Images in a batch, by the pixels of one: enough to keep the arithmetic busy, few enough to stay in the caches of a core.
pub fn batch_size(is_cpu: bool, side: usize) -> usize {
    let pixels = if is_cpu { 4 * 224 * 224 } else { 128 * 224 * 224 };
    (pixels / (side * side).max(1)).clamp(4, if is_cpu { 64 } else { 1024 })
}

/// Features of a batch, once they are there.
type Slot<E> = Option<Result<Vec<f32>, E>>;

/// Extracts the features of `count` images; `load(i)` gives the input of image i. On the CPU, `workers` threads each decode and
/// infer; else they decode, and one thread feeds the device. `tick` is called with the number of images done.
///
/// # Errors
/// The first error of `load` or `tick`, by image; the others stop soon after.
pub fn extract<E: Send>(
    extractor: &Extractor,
    count: usize,
    workers: usize,
    load: impl Fn(usize) -> Result<Vec<f32>, E> + Sync,
    tick: impl Fn(usize) -> Result<(), E> + Sync,
) -> Result<Vec<f32>, E> {
    let size = batch_size(extractor.device.is_cpu, extractor.side);
    let batches = count.div_ceil(size);
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Vec<Slot<E>>> = Mutex::new((0..batches).map(|_| None).collect());
    let load_batch = |index: usize| -> Result<Vec<f32>, E> {
        let mut batch = Vec::new();
        for i in index * size..((index + 1) * size).min(count) {
            batch.extend(load(i)?);
        }
        Ok(batch)
    };
    let finish = |index: usize, result: Result<Vec<f32>, E>| {
        let images = ((index + 1) * size).min(count) - index * size;
        let result = result.and_then(|features| {
            tick(done.fetch_add(images, Ordering::Relaxed) + images)?;
            Ok(features)
        });
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        results.lock().expect("no panic while locked")[index] = Some(result);
    };
    let take = || {
        let index = next.fetch_add(1, Ordering::Relaxed);
        (index < batches && !stop.load(Ordering::Relaxed)).then_some(index)
    };
    if extractor.device.is_cpu {
        let work = || {
            while let Some(index) = take() {
                finish(index, load_batch(index).map(|batch| extractor.forward(batch)));
            }
        };
        // One thread of arithmetic for each worker: images are independent, so cores need not share one.
        let alone = |()| match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(pool) => pool.install(work),
            Err(_) => work(),
        };
        std::thread::scope(|scope| {
            for _ in 1..workers.min(batches) {
                scope.spawn(|| alone(()));
            }
            alone(());
        });
    } else {
        let (sender, receiver) = mpsc::sync_channel(2 * workers.max(1));
        std::thread::scope(|scope| {
            for _ in 0..workers.max(1) {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some(index) = take() {
                        if sender.send((index, load_batch(index))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (index, batch) in receiver {
                finish(index, batch.map(|batch| extractor.forward(batch)));
            }
        });
    }
    let mut all = Vec::new();
    // A batch that was not begun comes after one that failed.
    for result in results.into_inner().expect("no panic while locked").into_iter().flatten() {
        all.extend(result?);
    }
    Ok(all)
}
