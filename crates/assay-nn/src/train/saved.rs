//! The state of an interrupted training.

use std::collections::BTreeMap;

use assay_weights::{Checkpoint, Dtype, RawTensor, to_safetensors};

use super::Checkpoints;

/// Parameters, what the optimizer remembers, and the losses so far.
pub(super) struct Saved {
    pub tensors: BTreeMap<String, RawTensor>,
    pub losses: Vec<f32>,
}

const LOSSES: &str = "losses";

impl Saved {
    pub(super) fn store(mut self, kept: &dyn Checkpoints) -> anyhow::Result<()> {
        let bytes = self.losses.iter().flat_map(|loss| loss.to_le_bytes()).collect();
        let losses = RawTensor { dtype: Dtype::F32, shape: vec![self.losses.len()], bytes };
        self.tensors.insert(LOSSES.to_owned(), losses);
        kept.save(&to_safetensors(&self.tensors)?)
    }

    /// Loads what was kept, if anything usable was.
    pub(super) fn load(kept: &dyn Checkpoints, steps: u32) -> Option<Self> {
        let mut tensors = from_safetensors(&kept.load()?).ok()?;
        let losses = tensors.remove(LOSSES)?.to_f32();
        (losses.len() <= steps as usize).then_some(Self { tensors, losses })
    }
}

/// Reads the bytes of a safetensors file.
///
/// # Errors
/// When they are damaged.
pub fn from_safetensors(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, RawTensor>> {
    Ok(Checkpoint::from_bytes(bytes, None)?.tensors)
}
