//! What running steps are lent: a device, threads, and models that are in memory already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use assay_nn::Extractor;
use assay_nn::device::OpenDevice;

/// The world of a run. Nothing in it changes a result.
pub struct World {
    /// Where networks compute.
    pub device: OpenDevice,
    /// Threads for decoding and, on the CPU, for inference.
    pub workers: usize,
    models: Mutex<HashMap<String, Arc<Extractor>>>,
}

/// Models kept in memory; shards of one model come one after the other.
const MOST_MODELS: usize = 2;

impl World {
    /// A world on `device` with `workers` threads.
    pub fn new(device: OpenDevice, workers: usize) -> Self {
        Self { device, workers, models: Mutex::default() }
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
        if let Some(model) = models.get(name) {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(load()?);
        if models.len() >= MOST_MODELS {
            models.clear();
        }
        models.insert(name.to_owned(), Arc::clone(&model));
        Ok(model)
    }
}
