//! Features of many images: decoding overlapped with inference.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use crate::backbone::{FeaturePoint, Net};
use crate::device::OpenDevice;

/// A model ready for inference.
#[derive(Clone, Debug)]
pub struct Extractor {
    /// The network, folded; `None` gives the input itself.
    net: Option<Net>,
    point: FeaturePoint,
    device: OpenDevice,
    channels: usize,
    side: usize,
}

impl Extractor {
    /// An extractor for inputs of `channels` × `side` × `side`.
    pub fn new(net: Option<Net>, device: OpenDevice, channels: usize, side: usize) -> Self {
        Self { net: net.map(|net| net.for_inference(side)), point: FeaturePoint::END, device, channels, side }
    }

    /// Memory that its weights take.
    pub fn bytes(&self) -> usize {
        self.net.as_ref().map_or(0, |net| net.num_params() * size_of::<f32>())
    }

    /// The same with features taken at `point`.
    pub fn at(self, point: FeaturePoint) -> Self {
        Self { point, ..self }
    }

    /// Features of a batch: B × (C·H·W) numbers → B × D numbers.
    pub fn forward(&self, batch: Vec<f32>) -> Vec<f32> {
        let Some(net) = &self.net else { return batch };
        let each = self.channels * self.side * self.side;
        let shape = [batch.len() / each, self.channels, self.side, self.side];
        let x = Tensor::<4>::from_data(TensorData::new(batch, shape), &self.device.device);
        net.forward(x, &self.point).into_data().iter::<f32>().collect()
    }
}

/// Images in a batch, by the pixels of one: enough to keep the arithmetic busy, few enough to stay in the caches of a core.
pub fn batch_size(is_cpu: bool, side: usize) -> usize {
    let pixels = if is_cpu { 4 * 224 * 224 } else { 128 * 224 * 224 };
    (pixels / (side * side).max(1)).clamp(4, if is_cpu { 64 } else { 1024 })
}

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
    let results = Mutex::new((0..count.div_ceil(size)).map(|_| None).collect());
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let job = Job { extractor, count, size, load: &load, tick: &tick, next, done, stop, results };
    if extractor.device.is_cpu {
        job.on_cpu(workers)
    } else {
        job.on_device(workers)
    }
    let mut all = Vec::new();
    // A batch that was not begun comes after one that failed.
    for result in job.results.into_inner().expect("no panic while locked").into_iter().flatten() {
        all.extend(result?);
    }
    Ok(all)
}

/// Features of a batch, once they are there.
type Slot<E> = Option<Result<Vec<f32>, E>>;

/// One extraction, shared by its threads.
struct Job<'a, E> {
    extractor: &'a Extractor,
    count: usize,
    /// Images in a batch.
    size: usize,
    load: &'a (dyn Fn(usize) -> Result<Vec<f32>, E> + Sync),
    tick: &'a (dyn Fn(usize) -> Result<(), E> + Sync),
    next: AtomicUsize,
    done: AtomicUsize,
    stop: AtomicBool,
    results: Mutex<Vec<Slot<E>>>,
}

impl<E: Send> Job<'_, E> {
    fn images(&self, batch: usize) -> Range<usize> {
        batch * self.size..((batch + 1) * self.size).min(self.count)
    }

    /// The next batch, unless there is none or one has failed.
    fn take(&self) -> Option<usize> {
        let batch = self.next.fetch_add(1, Ordering::Relaxed);
        (batch < self.count.div_ceil(self.size) && !self.stop.load(Ordering::Relaxed)).then_some(batch)
    }

    fn load(&self, batch: usize) -> Result<Vec<f32>, E> {
        let mut inputs = Vec::new();
        for i in self.images(batch) {
            inputs.extend((self.load)(i)?);
        }
        Ok(inputs)
    }

    fn infer(&self, batch: usize, inputs: Result<Vec<f32>, E>) {
        let result = inputs.map(|inputs| self.extractor.forward(inputs)).and_then(|features| {
            let images = self.images(batch).len();
            (self.tick)(self.done.fetch_add(images, Ordering::Relaxed) + images)?;
            Ok(features)
        });
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.results.lock().expect("no panic while locked")[batch] = Some(result);
    }

    /// One thread of arithmetic for each worker: images are independent, so cores need not share one.
    fn on_cpu(&self, workers: usize) {
        let work = || {
            while let Some(batch) = self.take() {
                self.infer(batch, self.load(batch));
            }
        };
        let alone = || match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(pool) => pool.install(work),
            Err(_) => work(),
        };
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(alone);
            }
            alone();
        });
    }

    /// Workers decode; this thread feeds the device.
    fn on_device(&self, workers: usize) {
        let (sender, receiver) = mpsc::sync_channel(2 * workers.max(1));
        std::thread::scope(|scope| {
            for _ in 0..workers.max(1) {
                let sender = sender.clone();
                scope.spawn(move || {
                    while let Some(batch) = self.take() {
                        if sender.send((batch, self.load(batch))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (batch, inputs) in receiver {
                self.infer(batch, inputs);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DeviceChoice, open};

    /// Pixels through both ways of sharing the work; the second is what GPUs get.
    fn run(is_cpu: bool, fail_at: Option<usize>) -> Result<Vec<f32>, String> {
        let device = OpenDevice { is_cpu, ..open(DeviceChoice::Cpu).unwrap() };
        let extractor = Extractor::new(None, device, 1, 2);
        let load = |i: usize| if fail_at == Some(i) { Err(format!("image {i}")) } else { Ok(vec![i as f32; 4]) };
        extract(&extractor, 3000, 3, load, |_| Ok(()))
    }

    #[test]
    fn features_come_in_the_order_of_images() {
        let expected: Vec<f32> = (0..3000).flat_map(|i| [i as f32; 4]).collect();
        assert_eq!(run(true, None).unwrap(), expected);
        assert_eq!(run(false, None).unwrap(), expected);
    }

    #[test]
    fn an_error_ends_it() {
        assert_eq!(run(true, Some(1234)), Err("image 1234".to_owned()));
        assert_eq!(run(false, Some(1234)), Err("image 1234".to_owned()));
    }
}
