//! Guessing which backbone a file holds.

use crate::backbone::{Backbone, Conv4};
use assay_weights::{AuditError, Checkpoint, Found, TensorFilter, coverage, select};

/// A backbone that a file may hold.
#[derive(Debug)]
pub struct Guess {
    /// The backbone.
    pub backbone: Backbone,
    /// Tensors of it that are in the file under one prefix.
    pub present: usize,
    /// Tensors that it has.
    pub needed: usize,
    /// Tensors that were found of the backbone, or the reason why they cannot be used, an ambiguous prefix for example.
    pub audit: Result<Found, AuditError>,
}

/// The backbone that fits a file best, among those that have a name of their own; `None` when nothing of any is in it.
pub fn identify(checkpoint: &Checkpoint) -> Option<Guess> {
    let filter = TensorFilter::default();
    let mut candidates = Backbone::known();
    candidates.extend(conv4(checkpoint));
    candidates.extend(Backbone::transformers_in(checkpoint));
    candidates.extend(Backbone::inferred(checkpoint));
    let measured = candidates.into_iter().map(|backbone| {
        let wanted = backbone.wanted();
        let present = coverage(checkpoint, &filter, &wanted);
        (present, wanted.tensors.len(), backbone)
    });
    // Complete ones first, and of these the largest: ResNet-18 is not in ResNet-34, but a part of it is.
    let best = measured.filter(|(present, ..)| *present > 0).max_by(|a, b| {
        let rank = |(present, needed, _): &(usize, usize, Backbone)| {
            (present == needed, *present as f64 / *needed as f64, *present)
        };
        rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let (present, needed, backbone) = best?;
    let audit = select(checkpoint, &filter, &backbone.wanted());
    Some(Guess { backbone, present, needed, audit })
}

/// The Conv-4 whose first convolution is in the file.
fn conv4(checkpoint: &Checkpoint) -> Option<Backbone> {
    let first = checkpoint.tensors.iter().find(|(name, _)| *name == "0.0.weight" || name.ends_with(".0.0.weight"))?.1;
    let [width, channels, 3, 3] = first.shape[..] else { return None };
    let spec = Conv4 { channels: u32::try_from(channels).ok()?, width: u32::try_from(width).ok()? };
    Some(Backbone::Conv4(spec)).filter(|backbone| backbone.invalid_because().is_none())
}
