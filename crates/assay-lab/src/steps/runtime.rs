//! The runtime that steps are lent: a device, threads, and models that are in memory already.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use assay_engine::Digest;
use assay_nn::Extractor;
use assay_nn::device::OpenDevice;

use crate::outside::Pictures;

/// Runtime that steps are lent. Nothing in it changes a result.
pub struct Runtime {
    /// Devices that networks are computed on; steps are told the index of theirs.
    pub devices: Vec<OpenDevice>,
    /// Threads for decoding and, on the CPU, for inference.
    pub workers: usize,
    /// Decoded images that several steps need.
    pictures: Pictures,
    /// Shards whose images several steps of the run read.
    shared_images: HashSet<Digest>,
    /// The least recently used first.
    models: Mutex<VecDeque<(String, Arc<Extractor>)>>,
}

/// Bytes of the models that are kept in memory: steps of different models on the same images come one after the other.
const MAX_BYTES: usize = 4 << 30;

impl Runtime {
    /// Makes the runtime on `devices` with `workers` threads.
    pub fn new(devices: Vec<OpenDevice>, workers: usize, shared_images: HashSet<Digest>) -> Self {
        Self { devices, workers, pictures: Pictures::default(), shared_images, models: Mutex::default() }
    }

    /// Decoded images of this shard, where several steps of the run need them.
    pub fn pictures_of(&self, shard: Digest) -> Option<&Pictures> {
        self.shared_images.contains(&shard).then_some(&self.pictures)
    }

    /// The extractor called `name`, loaded if it is not in memory.
    ///
    /// # Errors
    /// Those of `load`.
    pub fn extractor(
        &self,
        name: &str,
        load: impl FnOnce() -> anyhow::Result<Extractor>,
    ) -> anyhow::Result<Arc<Extractor>> {
        // Held while loading: steps that need the same model then load it once.
        let mut models = self.models.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let model = match models.iter().position(|(known, _)| known == name).and_then(|at| models.remove(at)) {
            Some((_, model)) => model,
            None => Arc::new(load()?),
        };
        models.push_back((name.to_owned(), Arc::clone(&model)));
        while models.len() > 1 && models.iter().map(|(_, model)| model.bytes()).sum::<usize>() > MAX_BYTES {
            models.pop_front();
        }
        Ok(model)
    }
}
