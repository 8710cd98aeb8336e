//! Names that other libraries have for the tensors of transformers.
//!
//! Each naming renames to what timm calls them; [`fitted`] then joins and cuts matrices as the transformer has them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use assay_weights::{Naming, RawTensor, Translated};

use super::clip_names;
use super::mlp::MlpSpec;
use super::params::Family;
use super::spec::{End, Known, QkvBias, Spec};
use crate::backbone::names::{Layout, Tensors, join, renamed, replaced};

/// What of a transformer decides how tensors are joined.
#[derive(Clone, Copy)]
struct Fit {
    is_split: bool,
    qkv_bias: QkvBias,
    is_packed: bool,
    is_gated: bool,
    scales: Option<[&'static str; 2]>,
    registers: &'static str,
    has_pooled_norm: bool,
}

/// Libraries whose names a transformer understands besides its own.
pub fn of(spec: &Spec) -> Vec<Naming> {
    if spec.known == Known::Clip {
        return clip_names::of(spec.projected);
    }
    let fit = Fit {
        is_split: spec.is_split,
        qkv_bias: spec.qkv_bias,
        is_packed: matches!(spec.mlp, MlpSpec::Packed),
        is_gated: !matches!(spec.mlp, MlpSpec::Plain(_)),
        scales: spec.scales,
        registers: spec.names.registers,
        has_pooled_norm: spec.end == End::PooledNorm,
    };
    let hugging_face =
        Naming { name: "Hugging Face", advice: None, translate: Box::new(move |t| hugging_face(t, fit)) };
    let others: &[Other] = match spec.known {
        Known::DinoV2 => &[("timm", timm_dino_v2), ("DINOv2", authors)],
        Known::Family(Family::DinoV3) => &[("DINOv3", dino_v3), ("timm", timm_dino_v3)],
        Known::Family(Family::AimV2) => &[("AIMv2", authors)],
        Known::Family(Family::Eva02 | Family::Eva02Clip) => &[("EVA-02", authors)],
        Known::Family(Family::Beit) => &[("BEiT", beit)],
        Known::Family(Family::Deit3) => &[("DeiT-3", authors)],
        _ => &[],
    };
    let other = |(name, translate): &Other| {
        let translate = *translate;
        Naming { name, advice: None, translate: Box::new(move |t| translate(t, fit)) }
    };
    std::iter::once(hugging_face).chain(others.iter().map(other)).collect()
}

/// Names of somebody else, and how they are read.
type Other = (&'static str, fn(&Tensors, Fit) -> Option<Translated<'_>>);

/// Beginnings of what Hugging Face calls blocks.
const BLOCKS: [&str; 5] = ["encoder.layers.", "encoder.layer.", "model.layer.", "layers.", "layer."];

/// Parts of a block, of all its transformers.
const BLOCK: [(&str, &str); 40] = [
    ("layernorm_before.", "norm1."),
    ("layernorm_after.", "norm2."),
    ("layer_norm1.", "norm1."),
    ("layer_norm2.", "norm2."),
    ("rms_norm1.", "norm1."),
    ("rms_norm2.", "norm2."),
    ("norm1.", "norm1."),
    ("norm2.", "norm2."),
    ("attention.attention.relative_position_bias.", "attn."),
    ("relative_position_bias.", "attn."),
    ("attention.attention.query.", "attn.q_proj."),
    ("attention.attention.key.", "attn.k_proj."),
    ("attention.attention.value.", "attn.v_proj."),
    ("attention.output.dense.", "attn.proj."),
    ("attention.o_proj.", "attn.proj."),
    ("attention.out_proj.", "attn.proj."),
    ("attention.q_proj.", "attn.q_proj."),
    ("attention.k_proj.", "attn.k_proj."),
    ("attention.v_proj.", "attn.v_proj."),
    ("self_attn.out_proj.", "attn.proj."),
    ("self_attn.q_proj.", "attn.q_proj."),
    ("self_attn.k_proj.", "attn.k_proj."),
    ("self_attn.v_proj.", "attn.v_proj."),
    ("intermediate.dense.", "mlp.fc1."),
    ("output.dense.", "mlp.fc2."),
    ("mlp.fc1.", "mlp.fc1."),
    ("mlp.fc2.", "mlp.fc2."),
    ("mlp.weights_in.", "mlp.fc1."),
    ("mlp.weights_out.", "mlp.fc2."),
    ("mlp.gate_proj.", "mlp.fc1_g."),
    ("mlp.up_proj.", "mlp.fc1_x."),
    ("mlp.down_proj.", "mlp.fc2."),
    ("ffn.gate_proj.", "mlp.fc1_g."),
    ("ffn.up_proj.", "mlp.fc1_x."),
    ("ffn.down_proj.", "mlp.fc2."),
    ("layer_scale1.lambda1", "scale1"),
    ("layer_scale2.lambda1", "scale2"),
    ("lambda_1", "scale1"),
    ("lambda_2", "scale2"),
    ("attention.relative_position_bias.", "attn."),
];

/// What is no part of a block.
const OUTSIDE: [(&str, &str); 20] = [
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.position_embedding.weight", "pos_embed"),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    ("embeddings.patch_embeddings.", "patch_embed.proj."),
    ("embeddings.patch_embedding.", "patch_embed.proj."),
    ("embeddings.patch_embed.", "patch_embed.proj."),
    ("embeddings.mask_token", "mask_token"),
    ("embeddings.register_tokens", "registers"),
    ("embeddings.rms_norm.", "patch_embed.norm."),
    ("encoder.relative_position_bias.", "shared_relative."),
    ("head.probe", "attn_pool.latent"),
    ("head.attention.in_proj_", "attn_pool.in_proj_"),
    ("head.attention.out_proj.", "attn_pool.proj."),
    ("head.layernorm.", "attn_pool.norm."),
    ("head.mlp.", "attn_pool.mlp."),
    ("pooler.layernorm.", "fc_norm."),
    ("post_layernorm.", "norm."),
    ("layernorm.", "norm."),
    ("rms_norm.", "norm."),
];

fn hugging_face(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    let is_one = |name: &String| {
        ["embeddings.patch_embed", "embeddings.patch_embedding"].iter().any(|mark| at_dot(name, mark).is_some())
    };
    // In CLIP and SigLIP, there is a tower of text beside that of images.
    tensors.keys().any(is_one).then_some(())?;
    let rule = |name: &str| {
        let block = BLOCKS.iter().find_map(|mark| {
            let (root, rest) = at_dot(name, mark)?;
            let (number, part) = rest.split_once('.')?;
            number.parse::<u32>().ok()?;
            Some((root, format!("blocks.{number}.{}", replaced(part, &BLOCK)?)))
        });
        let (root, ours) = block.or_else(|| {
            let outside = OUTSIDE.iter().find_map(|(mark, ours)| {
                let (root, rest) = at_dot(name, mark)?;
                Some((root, format!("{ours}{rest}")))
            });
            // The norm at the end of DINOv3.
            outside.or_else(|| Some(("", name.strip_prefix("norm.").map(|leaf| format!("norm.{leaf}"))?)))
        })?;
        Some((format!("{root}{ours}"), Layout::Same))
    };
    Some(fitted(renamed(tensors, rule), fit))
}

/// What is before and after `mark`, which stands at the beginning of a name or after a dot.
fn at_dot<'n>(name: &'n str, mark: &str) -> Option<(&'n str, &'n str)> {
    let at = name.find(mark).filter(|at| *at == 0 || name.as_bytes()[at - 1] == b'.')?;
    Some((&name[..at], &name[at + mark.len()..]))
}

/// DINOv2 with registers in timm's names: positions are those of the patches alone, since it adds that of the class token to it.
fn timm_dino_v2(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    tensors.keys().any(|name| name.ends_with("reg_token")).then_some(())?;
    let rule = |name: &str| Some((format!("{}registers", name.strip_suffix("reg_token")?), Layout::Same));
    let mut translated = renamed(tensors, rule);
    for (name, tensor) in &mut translated {
        if let [1, patches, width] = tensor.shape[..]
            && name.ends_with("pos_embed")
            && patches.isqrt().pow(2) == patches
        {
            let mut bytes = vec![0; width * tensor.dtype.size()];
            bytes.extend_from_slice(&tensor.bytes);
            *tensor = Cow::Owned(RawTensor { dtype: tensor.dtype, shape: vec![1, patches + 1, width], bytes });
        }
    }
    Some(fitted(translated, fit))
}

/// What authors call the parts of a block where timm has another name.
fn authors(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 13] = [
        (".mlp.w12.", ".mlp.fc1."),
        (".mlp.w1.", ".mlp.fc1_g."),
        (".mlp.w2.", ".mlp.fc1_x."),
        (".mlp.w3.", ".mlp.fc2."),
        (".mlp.ffn_ln.", ".mlp.norm."),
        (".attn.inner_attn_ln.", ".attn.norm."),
        (".gamma_1", ".scale1"),
        (".gamma_2", ".scale2"),
        (".norm_1.", ".norm1."),
        (".norm_2.", ".norm2."),
        (".mlp.fc3.", ".mlp.fc1_x."),
        ("preprocessor.patchifier.", "patch_embed."),
        ("preprocessor.pos_embed", "pos_embed"),
    ];
    let is_aim = tensors.keys().any(|name| name.contains("preprocessor.patchifier."));
    let is_mim = fit.has_pooled_norm && !tensors.keys().any(|name| name.contains("fc_norm."));
    let is_other = |name: &String| BLOCK.iter().any(|(theirs, _)| name.contains(theirs)) || name.contains("rope.freqs");
    (is_mim || tensors.keys().any(is_other)).then_some(())?;
    let rule = |name: &str| {
        let mut ours = name.to_owned();
        if is_aim {
            ours = ours.replace(".mlp.fc1.", ".mlp.fc1_g.").replace("trunk.post_trunk_norm.", "norm.");
            ours = ours.replace("trunk.blocks.", "blocks.");
        }
        for (theirs, mine) in BLOCK {
            ours = ours.replace(theirs, mine);
        }
        if is_mim && let Some(leaf) = ours.strip_prefix("norm.") {
            ours = format!("fc_norm.{leaf}");
        }
        Some((ours, Layout::Same))
    };
    let mut translated = renamed(tensors, rule);
    translated.retain(|name, _| !name.contains("rope.freqs"));
    Some(fitted(translated, fit))
}

/// BEiT: one table of relative positions for all blocks in what was only pretrained, where the norm is that of tokens.
fn beit(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    let is_one = |name: &String| name.contains("relative_position_index") || name.contains("rel_pos_bias.");
    let has_norm = tensors.keys().any(|name| name.ends_with("fc_norm.weight"));
    (!has_norm || tensors.keys().any(is_one)).then_some(())?;
    let rule = |name: &str| {
        if let Some((root, leaf)) = at_dot(name, "rel_pos_bias.") {
            return Some((format!("{root}shared_relative.{leaf}"), Layout::Same));
        }
        let (root, leaf) = at_dot(name, "norm.").filter(|(root, _)| !has_norm && !root.contains("blocks."))?;
        Some((format!("{root}fc_norm.{leaf}"), Layout::Same))
    };
    let mut translated = renamed(tensors, rule);
    translated.retain(|name, _| !name.ends_with("relative_position_index"));
    Some(fitted(translated, fit))
}

/// DINOv3 in the names of its authors, whose bias of keys is masked.
fn dino_v3(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    tensors.keys().any(|name| name.ends_with("storage_tokens")).then_some(())?;
    let rule = |name: &str| {
        let ours = name.replace("storage_tokens", "registers").replace(".ls1.gamma", ".scale1");
        let ours = ours.replace(".ls2.gamma", ".scale2").replace(".mlp.w1.", ".mlp.fc1_g.");
        Some((ours.replace(".mlp.w2.", ".mlp.fc1_x.").replace(".mlp.w3.", ".mlp.fc2."), Layout::Same))
    };
    let mut translated = renamed(tensors, rule);
    let is_passed_over =
        |name: &str| name.ends_with("bias_mask") || name.contains("rope_embed.") || name.contains("local_cls_norm.");
    translated.retain(|name, _| !is_passed_over(name));
    let biases: Vec<String> = translated.keys().filter(|name| name.ends_with("attn.qkv.bias")).cloned().collect();
    for name in biases {
        let Some(bias) = translated.remove(&name) else { continue };
        let root = name.trim_end_matches("qkv.bias");
        for (part, leaf) in [(0, "q_bias"), (2, "v_bias")] {
            translated.insert(format!("{root}{leaf}"), Cow::Owned(part_of(&bias, part, 3)));
        }
    }
    Some(fitted(translated, fit))
}

/// DINOv3 in timm's names; most of its files leave out biases, which are zero.
fn timm_dino_v3(tensors: &Tensors, fit: Fit) -> Option<Translated<'_>> {
    let has = |end: &str| tensors.keys().any(|name| name.ends_with(end));
    (has("reg_token") && has("attn.qkv.weight") && !has("attn.q_bias")).then_some(())?;
    let mut translated = renamed(tensors, |_| None);
    let weights: Vec<String> = translated.keys().filter(|name| name.ends_with("attn.qkv.weight")).cloned().collect();
    for name in weights {
        let Some(weight) = translated.get(&name) else { continue };
        let (dtype, width) = (weight.dtype, weight.shape[0] / 3);
        let root = name.trim_end_matches("qkv.weight");
        for leaf in ["q_bias", "v_bias"] {
            let zeros = RawTensor { dtype, shape: vec![width], bytes: vec![0; width * dtype.size()] };
            translated.insert(format!("{root}{leaf}"), Cow::Owned(zeros));
        }
    }
    Some(fitted(translated, fit))
}

/// One of `parts` equal parts of a tensor along its first axis.
fn part_of(tensor: &RawTensor, part: usize, parts: usize) -> RawTensor {
    let (rows, length) = (tensor.shape.first().map_or(0, |rows| rows / parts), tensor.bytes.len() / parts);
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first = rows;
    }
    RawTensor { dtype: tensor.dtype, shape, bytes: tensor.bytes[part * length..(part + 1) * length].to_vec() }
}

/// Matrices as the transformer has them, under the names that it has for what several names stand for.
fn fitted(mut tensors: Translated<'_>, fit: Fit) -> Translated<'_> {
    if !fit.is_gated {
        // Of a layer that is not gated, Hugging Face's DINOv3 calls the first one so.
        rename(&mut tensors, |name| Some(name.replace("mlp.fc1_x.", "mlp.fc1.")));
    }
    if let Some([first, second]) = fit.scales {
        rename(&mut tensors, |name| {
            let root = name.strip_suffix("scale1").map(|root| format!("{root}{first}"));
            root.or_else(|| Some(format!("{}{second}", name.strip_suffix("scale2")?)))
        });
    }
    rename(&mut tensors, |name| {
        let root = name.strip_suffix("registers").filter(|root| root.is_empty() || root.ends_with('.'))?;
        Some(format!("{root}{}", fit.registers))
    });
    if !fit.is_split {
        let parts = ["attn.q_proj.", "attn.k_proj.", "attn.v_proj."];
        join(&mut tensors, &parts.map(|part| format!("{part}weight")), "attn.qkv.weight");
        match fit.qkv_bias {
            QkvBias::All => join(&mut tensors, &parts.map(|part| format!("{part}bias")), "attn.qkv.bias"),
            _ => rename(&mut tensors, |name| {
                let root = name.strip_suffix("attn.q_proj.bias").map(|root| format!("{root}attn.q_bias"));
                root.or_else(|| Some(format!("{}attn.v_bias", name.strip_suffix("attn.v_proj.bias")?)))
            }),
        }
    }
    if fit.is_packed {
        for leaf in ["weight", "bias"] {
            join(&mut tensors, &["g", "x"].map(|part| format!("mlp.fc1_{part}.{leaf}")), &format!("mlp.fc1.{leaf}"));
        }
    }
    pool_of_siglip(&mut tensors);
    shared_positions(&mut tensors);
    for (name, tensor) in &mut tensors {
        if name.ends_with("pos_embed") && tensor.shape.len() == 2 {
            let shape = [&[1], tensor.shape.as_slice()].concat();
            *tensor = Cow::Owned(RawTensor { shape, ..tensor.as_ref().clone() });
        }
    }
    tensors
}

/// Queries apart from keys and values in the attention pool.
fn pool_of_siglip(tensors: &mut Translated<'_>) {
    let names: Vec<String> = tensors.keys().filter(|name| name.contains("attn_pool.in_proj_")).cloned().collect();
    for name in names {
        let (Some((root, leaf)), Some(tensor)) = (name.split_once("in_proj_"), tensors.remove(&name)) else { continue };
        let [q, k, v] = [0, 1, 2].map(|part| part_of(&tensor, part, 3));
        let kv = RawTensor::joined(&[&k, &v]).unwrap_or(k);
        tensors.insert(format!("{root}q.{leaf}"), Cow::Owned(q));
        tensors.insert(format!("{root}kv.{leaf}"), Cow::Owned(kv));
    }
}

/// A table of relative positions that all blocks share, for each of them.
fn shared_positions(tensors: &mut Translated<'_>) {
    const TABLE: &str = "shared_relative.relative_position_bias_table";
    let names: Vec<String> = tensors.keys().filter(|name| name.ends_with(TABLE)).cloned().collect();
    for name in names {
        let root = name.trim_end_matches(TABLE).to_owned();
        let blocks = tensors.keys().filter_map(|name| {
            let number = name.strip_prefix(&root)?.strip_prefix("blocks.")?.split_once('.')?.0;
            Some(format!("{root}blocks.{number}.attn.relative_position_bias_table"))
        });
        let blocks: std::collections::BTreeSet<String> = blocks.collect();
        // Where blocks have tables of their own besides, nothing is taken away, and the shared one is left over.
        if blocks.iter().any(|block| tensors.contains_key(block)) {
            continue;
        }
        if let Some(table) = tensors.remove(&name) {
            tensors.extend(blocks.into_iter().map(|block| (block, table.clone())));
        }
    }
}

/// Renames what `rule` knows.
fn rename(tensors: &mut Translated<'_>, rule: impl Fn(&str) -> Option<String>) {
    *tensors = std::mem::take(tensors)
        .into_iter()
        .map(|(name, tensor)| (rule(&name).unwrap_or(name), tensor))
        .collect::<BTreeMap<_, _>>();
}
