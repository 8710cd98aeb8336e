//! What running steps are lent: a device, threads, and models that are in memory already.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use assay_nn::Extractor;
use assay_nn::device::OpenDevice;

use crate::outside::Pictures;

/// What running steps are lent. Nothing in it changes a result.
pub struct Runtime {
    /// Where networks compute; steps are told the index of theirs.
    pub devices: Vec<OpenDevice>,
    /// Threads for decoding and, on the CPU, for inference.
    pub workers: usize,
    /// Decoded images that several steps need.
    pub pictures: Pictures,
    /// The least recently used first.
    models: Mutex<VecDeque<(String, Arc<Extractor>)>>,
}

/// Bytes of the models that are kept in memory: steps of different models on the same images come one after the other.
const MAX_BYTES: usize = 4 << 30;

impl Runtime {
    /// What is lent on `devices` with `workers` threads.
    pub fn new(devices: Vec<OpenDevice>, workers: usize) -> Self {
        Self { devices, workers, pictures: Pictures::default(), models: Mutex::default() }
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
        // Held while loading: device steps run one at a time, so nobody waits.
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
