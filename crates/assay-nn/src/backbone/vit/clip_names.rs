//! Names that other libraries have for the tensors of CLIP's image tower.

use assay_weights::{Naming, RawTensor, Translated};

use crate::backbone::names::{Layout, Tensors, join, renamed, replaced};

/// Libraries besides OpenAI and open_clip. `projected` is the number of features after the projection, where that is a part of
/// the backbone.
pub fn of(projected: Option<usize>) -> Vec<Naming> {
    vec![
        Naming { name: "Hugging Face", advice: None, translate: Box::new(hugging_face) },
        Naming { name: "timm", advice: None, translate: Box::new(move |tensors| timm(tensors, projected)) },
    ]
}

fn hugging_face(tensors: &Tensors) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 8] = [
        ("self_attn.out_proj.", "attn.out_proj."),
        ("self_attn.q_proj.", "attn.q."),
        ("self_attn.k_proj.", "attn.k."),
        ("self_attn.v_proj.", "attn.v."),
        ("layer_norm1.", "ln_1."),
        ("layer_norm2.", "ln_2."),
        ("mlp.fc1.", "mlp.c_fc."),
        ("mlp.fc2.", "mlp.c_proj."),
    ];
    const OUTSIDE: [(&str, &str); 5] = [
        ("embeddings.class_embedding", "class_embedding"),
        ("embeddings.patch_embedding.", "conv1."),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("pre_layrnorm.", "ln_pre."),
        ("post_layernorm.", "ln_post."),
    ];
    const TOWER: &str = "vision_model.";
    let has_tower = tensors.keys().any(|name| name.contains("vision_model.embeddings.patch_embedding."));
    (has_tower || tensors.contains_key("embeddings.patch_embedding.weight")).then_some(())?;
    let rule = |name: &str| {
        let tower = if has_tower { TOWER } else { "" };
        if let Some(root) = name.strip_suffix("visual_projection.weight") {
            return Some((format!("{root}{tower}proj"), Layout::InputOutput));
        }
        let (root, rest) = if has_tower { name.split_once(TOWER)? } else { ("", name) };
        let ours = match rest.strip_prefix("encoder.layers.").and_then(|rest| rest.split_once('.')) {
            Some((block, part)) => format!("transformer.resblocks.{block}.{}", replaced(part, &BLOCK)?),
            None => replaced(rest, &OUTSIDE)?,
        };
        Some((format!("{root}{tower}{ours}"), Layout::Same))
    };
    Some(with_qkv_in_one(renamed(tensors, rule)))
}

/// timm's tower, by itself or in a CLIP of open_clip. Its head is the projection where that is wanted, and has as many outputs.
fn timm(tensors: &Tensors, projected: Option<usize>) -> Option<Translated<'_>> {
    const BLOCK: [(&str, &str); 6] = [
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj.", "attn.out_proj."),
        ("norm1.", "ln_1."),
        ("norm2.", "ln_2."),
        ("mlp.fc1.", "mlp.c_fc."),
        ("mlp.fc2.", "mlp.c_proj."),
    ];
    let pre_norm = tensors.keys().find_map(|name| name.strip_suffix("norm_pre.weight"))?;
    let is_zero = |tensor: &RawTensor| tensor.bytes.iter().all(|byte| *byte == 0);
    let has_projection = |root: &str| {
        let of = |leaf: &str| tensors.get(&format!("{root}head.{leaf}"));
        projected.is_some() && of("weight").map(|head| head.shape[0]) == projected && of("bias").is_none_or(is_zero)
    };
    let rule = |name: &str| {
        let rest = name.strip_prefix(pre_norm)?;
        let ours = match rest.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
            Some((block, part)) => format!("transformer.resblocks.{block}.{}", replaced(part, &BLOCK)?),
            None => match rest {
                "cls_token" => return Some((format!("{pre_norm}class_embedding"), Layout::Flat)),
                "pos_embed" => return Some((format!("{pre_norm}positional_embedding"), Layout::Rows)),
                "head.weight" if has_projection(pre_norm) => {
                    return Some((format!("{pre_norm}proj"), Layout::InputOutput));
                }
                _ => {
                    replaced(rest, &[("patch_embed.proj.", "conv1."), ("norm_pre.", "ln_pre."), ("norm.", "ln_post.")])?
                }
            },
        };
        Some((format!("{pre_norm}{ours}"), Layout::Same))
    };
    Some(renamed(tensors, rule))
}

fn with_qkv_in_one(mut tensors: Translated<'_>) -> Translated<'_> {
    for leaf in ["weight", "bias"] {
        let parts = ["q", "k", "v"].map(|part| format!("attn.{part}.{leaf}"));
        join(&mut tensors, &parts, &format!("attn.in_proj_{leaf}"));
    }
    tensors
}
