//! The images that a training learns from.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use assay_data::{ImageSpec, Picture, Sample};
use assay_engine::{Cancelled, Context, External};

use crate::outside::{LabelledImages, ShardImages, decoded};
use crate::steps::Runtime;

/// Images in the order of their labels. They are decoded when they are asked for, and kept while there is room, so that memory
/// has a bound whatever the dataset.
pub(crate) struct TrainingImages<'a> {
    samples: Vec<&'a Sample>,
    image: &'a ImageSpec,
    kept: Vec<OnceLock<Arc<Picture>>>,
    bytes: AtomicUsize,
    cancelled: Box<dyn Fn() -> Result<(), Cancelled> + Send + Sync + 'a>,
}

/// Most bytes of pixels that are kept.
const MAX_BYTES: usize = 1 << 30;

impl<'a> TrainingImages<'a> {
    /// Finds the labelled images among those of a step.
    ///
    /// # Errors
    /// When one is not there.
    pub fn find(
        context: &'a Context<'_, Runtime>,
        images: &'a [External<ShardImages>],
        labelled: &LabelledImages,
        image: &'a ImageSpec,
    ) -> anyhow::Result<Self> {
        let shards: Vec<&ShardImages> = images.iter().map(|images| context.open(images)).collect();
        let by_digest: HashMap<&[u8; 32], &Sample> =
            shards.iter().flat_map(|shard| &shard.samples).map(|s| (s.digest.as_bytes(), s)).collect();
        let find = |(digest, name): (&[u8; 32], &String)| {
            by_digest.get(digest).copied().with_context(|| format!("{name} is in none of the images of this step"))
        };
        let samples = labelled.images.iter().zip(&labelled.names).map(find).collect::<anyhow::Result<Vec<_>>>()?;
        let kept = samples.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { samples, image, kept, bytes: AtomicUsize::new(0), cancelled: Box::new(context.canceller()) })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// An image, decoded and prepared as the task says. Of one training, either this or [`decoded`](Self::decoded) is asked for.
    ///
    /// # Errors
    /// When it cannot be decoded or is not the planned one, or the run is cancelled.
    pub fn prepared(&self, index: usize) -> anyhow::Result<Arc<Picture>> {
        self.get(index, |sample| {
            let picture = decoded(sample, self.image)?;
            Ok(self.image.apply(&picture).with_context(|| sample.path.clone())?.pixels)
        })
    }

    /// An image as it is decoded, before all preparation.
    ///
    /// # Errors
    /// When it cannot be decoded or is not the planned one, or the run is cancelled.
    pub fn decoded(&self, index: usize) -> anyhow::Result<Arc<Picture>> {
        self.get(index, |sample| decoded(sample, self.image))
    }

    fn get(&self, index: usize, load: impl FnOnce(&Sample) -> anyhow::Result<Picture>) -> anyhow::Result<Arc<Picture>> {
        if let Some(picture) = self.kept[index].get() {
            return Ok(Arc::clone(picture));
        }
        (self.cancelled)()?;
        let picture = Arc::new(load(self.samples[index])?);
        let size = picture.data.len();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > MAX_BYTES {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        } else {
            // Another thread may have been faster, with the same pixels.
            let _ = self.kept[index].set(Arc::clone(&picture));
        }
        Ok(picture)
    }
}
