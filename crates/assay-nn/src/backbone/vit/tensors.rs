//! Names of the tensors of transformers, as the builder asks for them.

/// Names that the original authors have for tensors.
pub struct Names {
    pub patches: &'static str,
    pub class_token: &'static str,
    pub registers: &'static str,
    pub embedding: &'static str,
    pub pre_norm: &'static str,
    pub block: &'static str,
    pub norms: [&'static str; 2],
    pub qkv: [&'static str; 2],
    pub out: &'static str,
    /// Below `mlp`.
    pub mlp: [&'static str; 2],
    pub norm: &'static str,
    /// Axes of one before a token, and before a list of tokens.
    pub lead: [&'static [usize]; 2],
}

/// Names of timm, which DINO, MAE, DeiT and DINOv2 share.
pub const TIMM: Names = Names {
    patches: "patch_embed.proj",
    class_token: "cls_token",
    registers: "reg_token",
    embedding: "pos_embed",
    pre_norm: "norm_pre",
    block: "blocks",
    norms: ["norm1", "norm2"],
    qkv: ["attn.qkv.weight", "attn.qkv.bias"],
    out: "attn.proj",
    mlp: ["fc1", "fc2"],
    norm: "norm",
    lead: [&[1, 1], &[1]],
};

/// The same with registers as the authors of DINOv2 call them.
pub const DINOV2: Names = Names { registers: "register_tokens", ..TIMM };

/// Names of OpenAI's CLIP.
pub const CLIP: Names = Names {
    patches: "conv1",
    class_token: "class_embedding",
    registers: "register_tokens",
    embedding: "positional_embedding",
    pre_norm: "ln_pre",
    block: "transformer.resblocks",
    norms: ["ln_1", "ln_2"],
    qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    out: "attn.out_proj",
    mlp: ["c_fc", "c_proj"],
    norm: "ln_post",
    lead: [&[], &[]],
};
