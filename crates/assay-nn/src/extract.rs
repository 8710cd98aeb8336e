//! Features of many images: decoding overlapped with inference, in batches that the device can hold.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use crate::backbone::{Backbone, FeaturePoint, Net};
use crate::device::OpenDevice;
use crate::input::ImageSize;

/// A model ready for inference.
#[derive(Clone, Debug)]
pub struct Extractor {
    /// The network, folded; `None` gives the input itself.
    net: Option<Net>,
    point: FeaturePoint,
    device: OpenDevice,
    channels: usize,
    image: ImageSize,
    /// Images in a batch.
    batch: usize,
}

impl Extractor {
    /// An extractor of `backbone`, built as `net`, for inputs of `channels` × height × width. Features are those of the end of the
    /// network.
    pub fn new(backbone: &Backbone, net: Option<Net>, device: OpenDevice, channels: usize, image: ImageSize) -> Self {
        let wanted = batch_size(device.is_cpu, image);
        let batch = fits(wanted, backbone.largest_bytes(channels, image), device.largest_buffer_bytes);
        let net = net.map(|net| net.for_inference(image));
        Self { net, point: FeaturePoint::END, device, channels, image, batch }
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
        let ImageSize { height, width } = self.image;
        let shape = [batch.len() / self.image_len(), self.channels, height, width];
        let x = Tensor::<4>::from_data(TensorData::new(batch, shape), &self.device.device);
        net.forward(x, &self.point).into_data().iter::<f32>().collect()
    }

    /// Numbers of one image.
    fn image_len(&self) -> usize {
        self.channels * self.image.area()
    }
}

/// Images in a batch, by the pixels of one: enough to keep the arithmetic busy, few enough to stay in the caches of a core.
fn batch_size(is_cpu: bool, image: ImageSize) -> usize {
    let pixels = if is_cpu { 4 * 224 * 224 } else { 128 * 224 * 224 };
    (pixels / image.area().max(1)).clamp(4, if is_cpu { 64 } else { 1024 })
}

/// The number of the `batch` images that are wanted that goes into a buffer of `limit` bytes, when one of them takes
/// `bytes_per_image`; at least one.
fn fits(batch: usize, bytes_per_image: u64, limit: u64) -> usize {
    let most = usize::try_from(limit / bytes_per_image.max(1)).unwrap_or(usize::MAX);
    batch.min(most).max(1)
}

/// Payload of a panic.
type Panic = Box<dyn Any + Send>;

/// Applies `attempt` to `inputs`, which are images of `each` numbers, in parts of at most `most` images. When the device has no
/// memory for a part, `most` is halved, for this and all later batches, down to a single image.
///
/// # Errors
/// Any other panic, and the want of memory for a single image.
fn in_parts(
    inputs: &[f32],
    each: usize,
    most: &AtomicUsize,
    attempt: impl Fn(&[f32]) -> Result<Vec<f32>, Panic>,
) -> Result<Vec<f32>, Panic> {
    let mut features = Vec::new();
    let mut rest = inputs;
    while !rest.is_empty() {
        let images = most.load(Ordering::Relaxed).min(rest.len() / each).max(1);
        match attempt(&rest[..images * each]) {
            Ok(found) => {
                features.extend(found);
                rest = &rest[images * each..];
            }
            Err(panic) if images > 1 && is_out_of_memory(panic.as_ref()) => most.store(images / 2, Ordering::Relaxed),
            Err(panic) => return Err(panic),
        }
    }
    Ok(features)
}

/// Tells whether a panic says what CubeCL says when it cannot have a buffer.
fn is_out_of_memory(panic: &(dyn Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or_default().to_lowercase();
    ["allocat", "out of memory", "outofmemory", "out of device memory", "buffertoobig"].iter().any(|m| text.contains(m))
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
    let size = extractor.batch;
    let results = Mutex::new((0..count.div_ceil(size)).map(|_| None).collect());
    let (next, done, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let most = AtomicUsize::new(size);
    let job = Job { extractor, count, size, most, load: &load, tick: &tick, next, done, stop, results };
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
    /// Images that the device takes at a time.
    most: AtomicUsize,
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

    /// Features of a batch, whatever part of it goes into the memory of the device.
    fn forward(&self, inputs: Vec<f32>) -> Vec<f32> {
        if self.extractor.device.is_cpu {
            return self.extractor.forward(inputs);
        }
        // Burn does not return the want of memory of a GPU, but panics, when the features are read at last. What is unwound is
        // the tensors of this call alone, so that it can be made again with fewer images.
        let attempt = |part: &[f32]| catch_unwind(AssertUnwindSafe(|| self.extractor.forward(part.to_vec())));
        in_parts(&inputs, self.extractor.image_len(), &self.most, attempt).unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn infer(&self, batch: usize, inputs: Result<Vec<f32>, E>) {
        let result = inputs.map(|inputs| self.forward(inputs)).and_then(|features| {
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
        let extractor = Extractor::new(&Backbone::Pixels, None, device, 1, ImageSize::square(2));
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
    fn batches_fit_the_largest_buffer() {
        let mib = 1 << 20;
        // 64 channels of 28² pixels: 200,704 bytes an image, of which 668 are 128 MiB.
        let conv4 = Backbone::Conv4(crate::Conv4 { channels: 1, width: 64 });
        let drawing = ImageSize::square(28);
        assert_eq!(conv4.largest_bytes(1, drawing), 200_704);
        assert_eq!(fits(batch_size(false, drawing), conv4.largest_bytes(1, drawing), 128 * mib), 668);
        // The stem of a ResNet-50: 3.2 MB an image.
        let photo = ImageSize::square(224);
        assert_eq!(fits(batch_size(false, photo), Backbone::ResNet50.largest_bytes(3, photo), 128 * mib), 41);
        assert_eq!(fits(batch_size(false, photo), Backbone::ResNet50.largest_bytes(3, photo), 2048 * mib), 128);
        assert_eq!(fits(4, 1 << 40, mib), 1);
        assert_eq!(fits(4, 0, mib), 4);
        assert_eq!(batch_size(true, ImageSize { height: 112, width: 448 }), 4);
        let device = OpenDevice { is_cpu: false, largest_buffer_bytes: 100, ..open(DeviceChoice::Cpu).unwrap() };
        assert_eq!(Extractor::new(&Backbone::Pixels, None, device, 1, ImageSize::square(2)).batch, 6);
    }

    #[test]
    fn a_batch_without_memory_is_cut() {
        let inputs: Vec<f32> = (0..26).map(|i| i as f32).collect();
        let run = |limit: usize, message: &str| {
            let (most, tries) = (AtomicUsize::new(13), AtomicUsize::new(0));
            let attempt = |part: &[f32]| {
                tries.fetch_add(1, Ordering::Relaxed);
                if part.len() / 2 > limit { Err(Box::new(message.to_owned()) as Panic) } else { Ok(part.to_vec()) }
            };
            let found = in_parts(&inputs, 2, &most, attempt).map_err(|_| tries.load(Ordering::Relaxed));
            (found, most.into_inner())
        };
        let too_big = "can't allocate buffer of size: 137883648";
        assert_eq!(run(13, too_big), (Ok(inputs.clone()), 13));
        assert_eq!(run(4, too_big), (Ok(inputs.clone()), 3));
        assert_eq!(run(1, too_big), (Ok(inputs.clone()), 1));
        assert_eq!(run(0, too_big), (Err(4), 1));
        assert_eq!(run(4, "index out of bounds"), (Err(1), 13));
    }

    #[test]
    fn an_error_ends_it() {
        assert_eq!(run(true, Some(1234)), Err("image 1234".to_owned()));
        assert_eq!(run(false, Some(1234)), Err("image 1234".to_owned()));
    }
}
