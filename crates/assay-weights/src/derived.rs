//! Tensors that are not the weights themselves but what these are computed from, or what changes them: seen by their names.
//!
//! A network with such tensors computes something else than its other tensors alone say, so that leaving them out would give
//! features of another network.

/// A form that weights are stored in besides themselves.
struct Form {
    /// What it is called.
    what: &'static str,
    /// What to do about it.
    advice: &'static str,
    /// Whether a part of a name (between dots) is one of this form.
    has: fn(&str) -> bool,
}

const FORMS: [Form; 9] = [
    Form {
        what: "low-rank adapters (LoRA), which are added to the weights",
        advice: "merge them into the weights where they were trained (`merge_and_unload()` of peft, `fuse_lora()` of diffusers), and \
                 save the merged `state_dict()`",
        has: |part| {
            ["lora_", "lokr_", "hada_w", "vera_lambda", "dora_"].iter().any(|start| part.starts_with(start))
                || matches!(part, "base_layer" | "lora" | "oft_R" | "ia3_l" | "lora_A" | "lora_B")
        },
    },
    Form {
        what: "quantised weights with their scales",
        advice: "give the weights that they were rounded from; or load them in their own library, turn them back into floats, and save \
                 that `state_dict()`: the features are then those of the rounded network",
        has: |part| {
            const WORDS: [&str; 20] = [
                "qweight",
                "qzeros",
                "g_idx",
                "SCB",
                "CB",
                "weight_format",
                "absmax",
                "nested_absmax",
                "quant_map",
                "nested_quant_map",
                "weight_scale",
                "weight_scale_inv",
                "scale_inv",
                "scale_weight",
                "scaled_fp8",
                "weight_zero_point",
                "zero_point",
                "input_scale",
                "_packed_params",
                "w_bit",
            ];
            WORDS.contains(&part) || part.starts_with("quant_state")
        },
    },
    Form {
        what: "parts of quantisation-aware training, which rounds what passes through",
        advice: "give the weights from before it, or convert it where it was trained and save the floats",
        has: |part| part.starts_with("activation_post_process") || part.starts_with("weight_fake_quant"),
    },
    Form {
        what: "pruned weights beside their masks",
        advice: "make the pruning permanent (`torch.nn.utils.prune.remove(module, \"weight\")`) and save the `state_dict()`",
        has: |part| part == "weight_mask" || part == "bias_mask",
    },
    Form {
        what: "weights under spectral normalisation",
        advice: "take it off (`torch.nn.utils.remove_spectral_norm(module)`) and save the `state_dict()`",
        has: |part| part == "weight_u" || part == "weight_orig",
    },
    Form {
        what: "weights under weight normalisation, as a direction and a length",
        advice: "take it off (`torch.nn.utils.remove_weight_norm(module)`) and save the `state_dict()`",
        has: |part| part == "weight_g" || part == "weight_v",
    },
    Form {
        what: "parametrised weights",
        advice: "take the parametrisation off (`torch.nn.utils.parametrize.remove_parametrizations(module, \"weight\")`) and save the \
                 `state_dict()`",
        has: |part| part == "parametrizations",
    },
    Form {
        what: "parameters that FSDP has laid end to end, perhaps a part of them",
        advice: "save the `state_dict()` of the whole network where it was trained (`StateDictType.FULL_STATE_DICT`)",
        has: |part| part == "flat_param" || part == "_flat_param" || part.starts_with("flat_param_"),
    },
    Form {
        what: "the state of an optimizer",
        advice: "name the dict that holds the weights as `container`",
        has: |part| matches!(part, "exp_avg" | "exp_avg_sq" | "max_exp_avg_sq" | "momentum_buffer" | "master_param"),
    },
];

/// The form of the first name that is of any: the name, what it is, and what to do.
pub fn find<'n>(names: impl Iterator<Item = &'n str>) -> Option<(&'n str, &'static str, &'static str)> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    FORMS.iter().find_map(|form| {
        let name = names.iter().find(|name| name.split(['.', '/']).any(form.has))?;
        Some((*name, form.what, form.advice))
    })
}

/// Whether a dict of this key holds changes of weights rather than weights: their difference from others, or gradients.
pub fn is_difference(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.split(['.', '_', '-'])
        .any(|word| matches!(word, "delta" | "deltas" | "diff" | "diffs" | "grad" | "grads" | "gradient" | "gradients"))
        || key.contains("task_vector")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_known_by_names() {
        for (name, expected) in [
            ("blocks.0.attn.qkv.lora_A.default.weight", "LoRA"),
            ("blocks.0.attn.qkv.base_layer.weight", "LoRA"),
            ("layer1.0.conv1.lora_down.weight", "LoRA"),
            ("blocks.0.mlp.fc1.qweight", "quantised"),
            ("blocks.0.mlp.fc1.weight.absmax", "quantised"),
            ("blocks.0.mlp.fc1.weight.quant_state.bitsandbytes__nf4", "quantised"),
            ("blocks.0.mlp.fc1.weight_scale_inv", "quantised"),
            ("conv1.zero_point", "quantised"),
            ("conv1.activation_post_process_0.min_val", "quantisation-aware"),
            ("conv1.weight_mask", "pruned"),
            ("conv1.weight_u", "spectral"),
            ("conv1.weight_g", "weight normalisation"),
            ("conv1.parametrizations.weight.original0", "parametrised"),
            ("_fsdp.flat_param", "FSDP"),
            ("state.conv1.exp_avg", "optimizer"),
            ("layer1.0.conv1.weight", ""),
            ("blocks.0.ls1.gamma", ""),
            ("norm.scale", ""),
            ("blocks.0.attn.q_norm.weight", ""),
            ("momentum_encoder.conv1.weight", ""),
        ] {
            let found = find(std::iter::once(name)).map_or("", |(_, what, _)| what);
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
        }
        for (key, expected) in
            [("delta", true), ("model_delta", true), ("grads", true), ("state_dict", false), ("gradual", false)]
        {
            assert_eq!(is_difference(key), expected, "{key}");
        }
    }
}
