//! Finding out which transformer a file holds, from names and shapes of its tensors.
//!
//! Width, blocks, patches and positions are read off; the number of attention heads is in no tensor, so that only the widths of
//! published transformers are recognised, with their heads.

use std::collections::BTreeSet;

use assay_weights::{Checkpoint, RawTensor, TensorFilter, coverage, select};

use super::params::{Clip, DinoV2, Family, Transformer, ViT, ViTSize};
use super::spec::Shape;
use crate::backbone::Backbone;

/// Ends of the names that libraries have for the weight that cuts an image into patches.
const PATCHES: [&str; 7] = [
    "patch_embed.proj.weight",
    "conv1.weight",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.weight",
    "embeddings.patch_embedding.weight",
    "embeddings.patch_embed.weight",
    "preprocessor.patchifier.proj.weight",
];
/// Ends of the names of position embeddings.
const POSITIONS: [&str; 5] = [
    "pos_embed",
    "positional_embedding",
    "embeddings.position_embeddings",
    "embeddings.position_embedding.weight",
    "preprocessor.pos_embed",
];
/// Numbers of features that CLIPs are projected to; heads of timm's with other numbers of outputs are classifiers.
const PROJECTIONS: [usize; 5] = [512, 640, 768, 1024, 1280];
/// What stands before the number of a block.
const BLOCKS: [&str; 6] = ["resblocks.", "blocks.", "encoder.layers.", "encoder.layer.", "layers.", "layer."];

/// What the shapes of a file say of a transformer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Facts {
    width: usize,
    depth: usize,
    patch: u32,
    trained_at: u32,
    projected: Option<u32>,
}

/// The transformers that a file may hold: those that fit it wholly, else the one that fits best.
pub fn recognise(checkpoint: &Checkpoint) -> Vec<Backbone> {
    let facts: BTreeSet<Facts> = checkpoint.tensors.iter().filter_map(|(name, t)| facts(checkpoint, name, t)).collect();
    // The values of tensors say nothing here, and there may be many.
    let bare = |tensor: &RawTensor| RawTensor { bytes: Vec::new(), dtype: tensor.dtype, shape: tensor.shape.clone() };
    let tensors = checkpoint.tensors.iter().map(|(name, tensor)| (name.clone(), bare(tensor))).collect();
    let shapes = Checkpoint { format: checkpoint.format, container: None, tensors, unread: Default::default() };
    let filter = TensorFilter::default();
    let mut measured = Vec::new();
    for backbone in facts.iter().flat_map(candidates) {
        let wanted = backbone.wanted();
        let present = coverage(&shapes, &filter, &wanted);
        if present > 0 {
            let fits = present == wanted.tensors.len() && select(&shapes, &filter, &wanted).is_ok();
            measured.push((fits, present == wanted.tensors.len(), present, backbone));
        }
    }
    measured.sort_by_key(|(fits, is_whole, present, _)| std::cmp::Reverse((*fits, *is_whole, *present)));
    let Some(best) = measured.first().map(|(fits, is_whole, ..)| (*fits, *is_whole)) else { return Vec::new() };
    let as_good = measured.into_iter().take_while(|(fits, is_whole, ..)| (*fits, *is_whole) == best);
    let count = if best.1 { usize::MAX } else { 1 };
    as_good.take(count).map(|(.., backbone)| backbone).collect()
}

/// What there is to say of the transformer whose patches are cut by this tensor.
fn facts(checkpoint: &Checkpoint, name: &str, tensor: &RawTensor) -> Option<Facts> {
    let [width, 3, patch, same] = tensor.shape[..] else { return None };
    let end = PATCHES.iter().filter(|end| name.ends_with(*end)).max_by_key(|end| end.len())?;
    let root = name.strip_suffix(end).filter(|root| root.is_empty() || root.ends_with('.'))?;
    if patch != same || !(4..=64).contains(&patch) {
        return None;
    }
    let of = |name: &str| checkpoint.tensors.get(&format!("{root}{name}")).map(|tensor| tensor.shape.as_slice());
    let tokens = POSITIONS.iter().find_map(|name| of(name)?.iter().rev().nth(1).copied());
    let side = tokens.and_then(grid_side).or_else(|| relative_side(checkpoint, root));
    let head = of("head.weight").and_then(|head| head.first()).filter(|n| PROJECTIONS.contains(n));
    let heads = [of("proj").and_then(|proj| proj.get(1)), head];
    let hugging_face = checkpoint.tensors.iter().find(|(name, _)| name.ends_with("visual_projection.weight"));
    let outputs = heads.into_iter().flatten().next().or_else(|| hugging_face?.1.shape.first());
    Some(Facts {
        width,
        depth: depth(checkpoint, root)?,
        patch: u32::try_from(patch).ok()?,
        trained_at: u32::try_from(side.map_or(224, |side| side * patch)).ok()?,
        projected: outputs.and_then(|n| u32::try_from(*n).ok()),
    })
}

/// The side of a square of so many tokens, or of one less.
fn grid_side(tokens: usize) -> Option<usize> {
    [tokens, tokens.checked_sub(1)?].into_iter().find(|n| *n > 0 && n.isqrt().pow(2) == *n).map(usize::isqrt)
}

/// The side of the grid that relative positions are for.
fn relative_side(checkpoint: &Checkpoint, root: &str) -> Option<usize> {
    let is_table = |name: &str| name.starts_with(root) && name.ends_with("relative_position_bias_table");
    let table = checkpoint.tensors.iter().find(|(name, _)| is_table(name))?.1;
    let reach = table.shape.first()?.checked_sub(3)?.isqrt();
    Some(reach.div_ceil(2))
}

/// Number of blocks whose names begin with `root`.
fn depth(checkpoint: &Checkpoint, root: &str) -> Option<usize> {
    let number = |name: &String| {
        let rest = name.strip_prefix(root)?;
        let after = |mark: &&str| rest.find(*mark).map(|at| (at, &rest[at + mark.len()..]));
        let (_, rest) = BLOCKS.iter().filter_map(after).min_by_key(|(at, _)| *at)?;
        rest.split('.').next()?.parse::<usize>().ok().filter(|number| *number < 128)
    };
    let is_decoder = |name: &&String| name.contains("decoder");
    checkpoint.tensors.keys().filter(|name| !is_decoder(name)).filter_map(number).max().map(|last| last + 1)
}

/// The backbones that these facts allow.
fn candidates(facts: &Facts) -> Vec<Backbone> {
    let Facts { width, depth, patch, trained_at, .. } = *facts;
    let mut all = Vec::new();
    let plain = [ViTSize::Tiny, ViTSize::Small, ViTSize::Base, ViTSize::Large, ViTSize::Huge, ViTSize::Giant];
    for size in plain.into_iter().filter(|size| size.shape().width == width) {
        let Shape { depth: usual, heads, .. } = size.shape();
        let other = ViTSize::Custom { width: width as u32, depth: depth as u32, heads: heads as u32 };
        // The hidden layers of the giant are not those of a size that is written out.
        let size = if usual == depth || size == ViTSize::Giant { size } else { other };
        all.push(Backbone::ViT(ViT { size: size.clone(), patch, trained_at, positions: None, epsilon: None }));
        for registers in [0, 4] {
            all.push(Backbone::DinoV2(DinoV2 { size: size.clone(), registers, patch, trained_at, positions: None }));
        }
        all.extend(clips(facts, &size));
    }
    for size in [ViTSize::LittleG, ViTSize::BigG] {
        let Shape { width: of_size, depth: usual, .. } = size.shape();
        all.extend((of_size == width && usual == depth).then(|| clips(facts, &size)).into_iter().flatten());
    }
    for family in Family::ALL {
        for size in family.sizes().iter().filter(|size| family.shape(size).width == width) {
            all.push(Backbone::Transformer(Transformer {
                family,
                size: size.clone(),
                depth: Some(depth as u32).filter(|depth| family.shape(size).depth != *depth as usize),
                patch: Some(patch).filter(|patch| *patch != family.patch()),
                trained_at,
                positions: None,
                activation: None,
                epsilon: None,
                rounded_periods: None,
            }));
        }
    }
    all.retain(|backbone| backbone.invalid_because().is_none());
    all
}

/// CLIPs of a size, with and without their projection.
fn clips(facts: &Facts, size: &ViTSize) -> Vec<Backbone> {
    let Facts { patch, trained_at, projected, .. } = *facts;
    let clip = |projected| {
        let (activation, epsilon, positions) = (None, None, None);
        Backbone::Clip(Clip { size: size.clone(), patch, trained_at, projected, activation, epsilon, positions })
    };
    BTreeSet::from([None, projected]).into_iter().map(clip).collect()
}
