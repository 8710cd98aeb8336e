"""Vision transformers of timm, Hugging Face and open_clip, and files in the names of their authors: the names and shapes of their
tensors, and features of a hashed image, with hashed weights of the published widths and few blocks.

Both sides compute the weights from the names in the file. `vision_transformers.py DIR` writes files of full size with random weights
instead, one of each family, for `assay weights inspect`.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import open_clip
import open_clip.transformer
import timm
import torch
import transformers as hf

from hashing import hashed, tensors

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
SAMPLE = 32
POSITIONS = ("pos_embed", "positional_embedding", "position_embedding.weight", "position_embeddings")

cases = []


def weights(shapes):
    """As `hashing.tensors`, but positions are as large as what they are added to."""
    out = tensors(shapes)
    for k, name in enumerate(sorted(shapes)):
        if name.endswith(POSITIONS):
            out[name] = (0.5 * hashed(int(np.prod(shapes[name])), k + 1)).astype(np.float32).reshape(shapes[name])
    return out


def image(side):
    return torch.from_numpy(hashed(3 * side * side, 77).astype(np.float32).reshape(1, 3, side, side))


def load(net, to_file=lambda state: state, to_net=lambda state: state, without=("head.", "mask_token", "position_ids")):
    """Hashed weights for a file that `to_file` makes of the state of a network; the shapes in the file. `to_net` is the way back."""
    state = {k: v for k, v in net.state_dict().items() if not k.startswith(without) and not k.endswith(without)}
    shapes = {k: tuple(v.shape) for k, v in to_file(state).items()}
    values = {k: torch.from_numpy(v) for k, v in weights(shapes).items()}
    missing = net.load_state_dict(to_net(values), strict=False)
    assert not missing.unexpected_keys, missing.unexpected_keys
    lost = [k for k in missing.missing_keys if not k.startswith(without) and not k.endswith(without)]
    assert not lost, lost
    net.eval()
    return shapes


def case(name, backbone, shapes, features, config=None):
    """`features`: side of the image, layer, pool, and the function of the image."""
    samples = []
    for side, layer, pool, forward in features:
        with torch.no_grad():
            y = forward(image(side)).reshape(-1).numpy()
        assert np.isfinite(y).all(), name
        every = max(y.size // SAMPLE, 1) | 1
        numbers = [float(f"{v:.7g}") for v in y[::every]]
        samples.append({"side": side, "layer": layer, "pool": pool, "length": y.size, "scale": float(np.abs(y).max()), "every": every, "numbers": numbers})
        print(name, side, layer, pool, y.shape, samples[-1]["scale"], flush=True)
    listed = [f"{k} {'x'.join(map(str, v))}" for k, v in shapes.items()]
    cases.append({"name": name, "backbone": backbone, "config": config, "tensors": listed, "features": samples})


def renamed(*rules):
    def there(state):
        out = {}
        for k, v in state.items():
            for old, new in rules:
                k = k.replace(old, new)
            out[k] = v
        return out

    return there, lambda state: renamed(*[(new, old) for old, new in reversed(rules)])[0](state)


def below(prefix, there, back=lambda state: state):
    """The same under a prefix."""
    return lambda s: {f"{prefix}{k}": v for k, v in there(s).items()}, lambda s: back({k.removeprefix(prefix): v for k, v in s.items()})


def create(name, **options):
    return timm.create_model(name, pretrained=False, num_classes=0, depth=2, **options)


def family(name, size, trained_at=64, **more):
    return {"Transformer": {"family": name, "size": size, "depth": 2, "trained_at": trained_at, **more}}


def custom(width, heads, depth=2):
    return {"Custom": {"width": width, "depth": depth, "heads": heads}}


def cls(net):
    return lambda x: net.forward_features(x)[:, 0]


def average(net):
    return lambda x: net.forward_features(x)[:, net.num_prefix_tokens :].mean(1)


def both(net):
    return lambda x: torch.cat([cls(net)(x), average(net)(x)], 1)


def last(net, count, pool=None):
    """The class tokens of the last blocks; for DINOv2 with the average of the last."""

    def forward(x):
        found = net.forward_intermediates(x, indices=count, norm=True, return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True)
        tokens = [prefix[:, 0] for _, prefix in found]
        return torch.cat(tokens + ([found[-1][0].mean(1)] if pool else []), 1)

    return forward


def raw(net, block):
    return lambda x: net.forward_intermediates(x, indices=[block - 1], norm=False, output_fmt="NLC", intermediates_only=True)[0].mean(1)


def of_timm():
    vit = lambda width, heads: {"ViT": {"size": custom(width, heads), "patch": 16, "trained_at": 64, "positions": "BicubicAntialias"}}
    net = create("vit_small_patch16_224", img_size=64, dynamic_img_size=True)
    case("timm vit_small_patch16_224", vit(384, 6), load(net), [
        (64, None, None, cls(net)), (64, None, "Gap", average(net)), (96, None, "ClsGap", both(net)), (64, "last2", None, last(net, 2)),
        (64, "last2", "ClsGap", last(net, 2, True)), (64, "block1 raw", "Gap", raw(net, 1)),
    ])
    net = create("deit_tiny_patch16_224", img_size=64)
    case("timm deit_tiny_patch16_224", vit(192, 3), load(net), [(64, None, None, cls(net))])
    net = create("vit_base_patch16_224", img_size=64)  # MAE's are of this architecture
    case("timm vit_base_patch16_224.mae", vit(768, 12), load(net), [(64, None, None, cls(net))])
    net = create("vit_base_patch16_224", img_size=64, global_pool="avg")
    case("timm vit_base_patch16_224, fc_norm", family("MaeFineTuned", "Base"), load(net), [(64, None, None, net)])
    for name, activation in [("clip", "Gelu"), ("clip_quickgelu", "QuickGelu")]:
        net = create(f"vit_base_patch16_{name}_224", img_size=64, dynamic_img_size=True)
        clip = {"Clip": {"size": custom(768, 12), "patch": 16, "trained_at": 64}}
        config = {"file": "config.json", "activation": activation}
        case(f"timm vit_base_patch16_{name}_224", clip, load(net), [(64, None, None, cls(net)), (96, None, None, cls(net))], config)
    for name, registers in [("vit_small_patch14_dinov2", 0), ("vit_small_patch14_reg4_dinov2", 4)]:
        net = create(name, img_size=56, dynamic_img_size=True)
        dino = {"DinoV2": {"size": custom(384, 6), "registers": registers, "trained_at": 56}}
        features = [(56, None, None, cls(net)), (56, None, "ClsGap", both(net)), (56, "last2", "ClsGap", last(net, 2, True))]
        case(f"timm {name}", dino, load(net), features + [(84, None, None, cls(net))] * (registers > 0))
    for name, size in [("vit_small_patch16_dinov3", "Small"), ("vit_small_patch16_dinov3_qkvb", "Small"), ("vit_small_plus_patch16_dinov3", "SmallPlus"), ("vit_base_patch16_dinov3", "Base")]:
        net = create(name)
        features = [(64, None, None, cls(net)), (96, None, "Gap", net), (64, "last2", "ClsGap", last(net, 2, True))]
        case(f"timm {name}", family("DinoV3", size, 224), load(net), features)
    for name, patch, activation in [("vit_base_patch16_siglip_224", None, "Gelu"), ("vit_base_patch32_siglip_256", 32, "GeluTanh")]:
        side = 4 * (patch or 16)
        net = create(name, img_size=side, dynamic_img_size=True)
        config = {"file": "config.json", "activation": activation}
        spec = family("SigLip", "Base", side, **({"patch": patch} if patch else {}))
        features = [(side, None, None, net), (side, None, "Gap", average(net)), (side // 2 * 3, None, None, net)]
        case(f"timm {name}", spec, load(net), features, config)
    net = create("vit_base_patch16_siglip_gap_224", img_size=64)
    case("timm vit_base_patch16_siglip_gap_224", family("IJepa", "Base", patch=16), load(net), [(64, None, None, net)])
    net = create("deit3_small_patch16_224", img_size=64, dynamic_img_size=True)
    case("timm deit3_small_patch16_224", family("Deit3", "Small"), load(net), [(64, None, None, net), (96, None, None, net)])
    for name in ["beit_base_patch16_224", "beitv2_base_patch16_224"]:
        net = create(name, img_size=64)
        case(f"timm {name}", family("Beit", "Base"), load(net), [(64, None, None, net)])
    for name, size in [("eva02_tiny_patch14_224", "Tiny"), ("eva02_base_patch14_224", "Base")]:
        net = create(name, img_size=56, dynamic_img_size=True)
        case(f"timm {name}", family("Eva02", size, 56), load(net), [(56, None, None, net), (84, None, None, net)])
    net = create("eva02_base_patch16_clip_224", img_size=64, dynamic_img_size=True)
    case("timm eva02_base_patch16_clip_224", family("Eva02Clip", "Base"), load(net), [(64, None, None, net)])
    net = create("aimv2_large_patch14_224", img_size=56, dynamic_img_size=True)
    case("timm aimv2_large_patch14_224", family("AimV2", "Large", 56), load(net), [(56, None, None, net), (84, None, None, net)])
    net = timm.create_model("vit_huge_patch14_gap_224", pretrained=False, num_classes=0, depth=1, img_size=56, dynamic_img_size=True)
    case("timm vit_huge_patch14_gap_224 (I-JEPA)", {"Transformer": {"family": "IJepa", "size": "Huge", "depth": 1, "trained_at": 56}}, load(net), [(56, None, None, net)])


def config(width, heads, patch, side, **more):
    return dict(hidden_size=width, num_attention_heads=heads, num_hidden_layers=2, patch_size=patch, image_size=side, intermediate_size=4 * width, **more)


def old_hub(*more):
    """Names of the files on the hub."""
    return renamed(*more, ("attention.q_proj", "attention.attention.query"), ("attention.k_proj", "attention.attention.key"),
                   ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense"))


def of_hugging_face():
    last_of = lambda net, **options: lambda x: net(x, **options).last_hidden_state
    hidden = lambda net, i, **options: lambda x: last_of(net, **options)(x)[:, i]
    net = hf.ViTModel(hf.ViTConfig(**config(192, 3, 16, 64)), add_pooling_layer=False)
    spec = {"ViT": {"size": custom(192, 3), "patch": 16, "trained_at": 64}}
    there, back = below("vit.", *old_hub(("layers.", "encoder.layer."), ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")))
    case("hf vit", spec, load(net, there, back), [(64, None, None, hidden(net, 0)), (96, None, None, hidden(net, 0, interpolate_pos_encoding=True))])
    for registers, kind in [(0, "Dinov2"), (4, "Dinov2WithRegisters")]:
        net = getattr(hf, f"{kind}Model")(getattr(hf, f"{kind}Config")(**{k: v for k, v in config(384, 6, 14, 56).items() if k != "intermediate_size"}, mlp_ratio=4))
        spec = {"DinoV2": {"size": custom(384, 6), "registers": registers, "trained_at": 56}}
        case(f"hf {kind.lower()}", spec, load(net, *old_hub()), [(56, None, None, hidden(net, 0)), (84, None, None, hidden(net, 0))])
    for size, gated in [("Small", False), ("SmallPlus", True)]:
        net = hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**config(384, 6, 16, 64), num_register_tokens=4, use_gated_mlp=gated, hidden_act="silu" if gated else "gelu"))
        shapes = load(net, *renamed(("model.layer.", "layer.")))
        case(f"hf dinov3 {size}", family("DinoV3", size, 224), shapes, [(64, None, None, hidden(net, 0)), (96, None, "Gap", lambda x: last_of(net)(x)[:, 5:].mean(1))])
    net = hf.SiglipVisionModel(hf.SiglipVisionConfig(**config(768, 12, 16, 64)))
    shapes = load(net, *below("vision_model.", lambda s: s), without=("position_ids",))
    case("hf siglip", family("SigLip", "Base"), shapes, [(64, None, None, lambda x: net(x).pooler_output), (96, None, None, lambda x: net(x, interpolate_pos_encoding=True).pooler_output)])
    net = hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**config(768, 12, 32, 64), projection_dim=512))
    clip = {"Clip": {"size": custom(768, 12), "patch": 32, "trained_at": 64, "projected": 512}}
    case("hf clip", clip, load(net), [(64, None, None, lambda x: net(x).image_embeds), (96, None, None, lambda x: net(x, interpolate_pos_encoding=True).image_embeds)], {"file": "config.json", "activation": "QuickGelu"})
    net = hf.BeitModel(hf.BeitConfig(**config(768, 12, 16, 64), use_relative_position_bias=True))
    there, back = below("beit.", *old_hub(("layers.", "encoder.layer."), ("relative_position_bias.relative", "attention.attention.relative_position_bias.relative"),
                                          ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")))
    case("hf beit", family("Beit", "Base"), load(net, there, back), [(64, None, None, lambda x: net(x).pooler_output)])
    net = hf.Data2VecVisionModel(hf.Data2VecVisionConfig(**config(768, 12, 16, 64), use_shared_relative_position_bias=True), add_pooling_layer=True)
    shapes = load(net)
    case("hf data2vec", family("Beit", "Base"), shapes, [(64, None, None, lambda x: net(x).pooler_output)])
    net = hf.Aimv2VisionModel(hf.Aimv2VisionConfig(**{**config(1024, 8, 14, 56), "intermediate_size": 2816}, use_head=False))
    case("hf aimv2", family("AimV2", "Large", 56), load(net), [(56, None, None, lambda x: last_of(net)(x).mean(1))])
    net = hf.IJepaModel(hf.IJepaConfig(**{**config(768, 12, 14, 56)}), add_pooling_layer=False)
    there, back = old_hub(("layers.", "encoder.layer."), ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"))
    case("hf ijepa", family("IJepa", "Base", 56), load(net, there, back), [(56, None, None, lambda x: last_of(net)(x).mean(1))])


def of_open_clip():
    for name, activation in [("gelu", torch.nn.GELU), ("quickgelu", open_clip.transformer.QuickGELU)]:
        net = open_clip.transformer.VisionTransformer(64, 16, 768, 2, 12, 4, act_layer=activation, output_dim=512)
        clip = {"Clip": {"size": custom(768, 12), "patch": 16, "trained_at": 64, "projected": 512}}
        config = {"file": "open_clip_config.json", "activation": "QuickGelu" if name == "quickgelu" else "Gelu"}
        shapes = load(net, *below("visual.", lambda s: s))

        def resized(x):
            other = open_clip.transformer.VisionTransformer(96, 16, 768, 2, 12, 4, act_layer=activation, output_dim=512)
            state = {f"visual.{k}": v.clone() for k, v in net.state_dict().items()}
            open_clip.model.resize_pos_embed(state, torch.nn.ModuleDict({"visual": other}))
            other.load_state_dict({k.removeprefix("visual."): v for k, v in state.items()})
            return other.eval()(x)

        case(f"open_clip {name}", clip, shapes, [(64, None, None, net), (96, None, None, resized)], config)
    net = create("vit_base_patch16_siglip_224", img_size=64)
    shapes = load(net, *below("visual.trunk.", lambda s: s))
    case("open_clip siglip", family("SigLip", "Base"), shapes, [(64, None, None, net)], {"file": "open_clip_config.json", "activation": "Gelu"})


def of_authors():
    """Files as authors publish them, made by the renaming with which timm or Hugging Face read them."""
    net = create("deit3_small_patch16_224", img_size=64)
    case("DeiT-3", family("Deit3", "Small"), load(net, *renamed(("ls1.gamma", "gamma_1"), ("ls2.gamma", "gamma_2"))), [(64, None, None, net)])
    net = create("eva02_base_patch14_224", img_size=56)
    rules = [("mlp.fc1_g", "mlp.w1"), ("mlp.fc1_x", "mlp.w2"), ("mlp.fc2", "mlp.w3"), ("mlp.norm", "mlp.ffn_ln"), ("fc_norm", "norm")]
    to_file, _ = renamed(*rules)
    back = lambda s: {k if not k.startswith("norm.") else f"fc_{k}": v for k, v in renamed(*[(b, a) for a, b in reversed(rules[:-1])])[0](s).items()}
    case("EVA-02", family("Eva02", "Base", 56), load(net, to_file, back), [(56, None, None, net)])
    net = create("aimv2_large_patch14_224", img_size=56)
    rules = [("mlp.fc1_g.", "mlp.fc1."), ("mlp.fc1_x.", "mlp.fc3."), ("blocks.", "trunk.blocks."), ("norm1", "norm_1"), ("norm2", "norm_2"), ("patch_embed.", "preprocessor.patchifier."), ("pos_embed", "preprocessor.pos_embed")]
    to_file, from_file = renamed(*rules)
    post = lambda s: {"trunk.post_trunk_norm.weight" if k == "norm.weight" else k: v for k, v in to_file(s).items()}
    back = lambda s: from_file({"norm.weight" if k == "trunk.post_trunk_norm.weight" else k: v for k, v in s.items()})
    case("AIMv2", family("AimV2", "Large", 56), load(net, post, back), [(56, None, None, net)])
    net = create("beit_base_patch16_224", img_size=64)
    table = "attn.relative_position_bias_table"
    to_file = lambda s: {k.replace("fc_norm", "norm"): v for k, v in s.items() if table not in k} | {"rel_pos_bias.relative_position_bias_table": s[f"blocks.0.{table}"]}
    back = lambda s: {k if not k.startswith("norm.") else f"fc_{k}": v for k, v in s.items() if "rel_pos" not in k} | {f"blocks.{i}.{table}": s["rel_pos_bias.relative_position_bias_table"] for i in range(2)}
    case("BEiT, pretrained", family("Beit", "Base"), load(net, to_file, back), [(64, None, None, net)])
    net = hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**config(384, 6, 16, 64), num_register_tokens=4))
    inverse = net.rope_embeddings.inv_freq
    periods = (100.0 ** (torch.arange(16) / 16)).bfloat16()
    inverse.copy_(1 / periods.float())
    for i in range(2):  # the bias of keys is masked
        attention = net.model.layer[i].attention
        assert attention.k_proj.bias is None

    def to_file(s):
        out = {"cls_token": s["embeddings.cls_token"], "storage_tokens": s["embeddings.register_tokens"], "norm.weight": s["norm.weight"], "norm.bias": s["norm.bias"], "rope_embed.periods": periods}
        out |= {f"patch_embed.proj.{leaf}": s[f"embeddings.patch_embeddings.{leaf}"] for leaf in ["weight", "bias"]}
        for i in range(2):
            there, here = f"model.layer.{i}.", f"blocks.{i}."
            out[f"{here}attn.qkv.weight"] = torch.cat([s[f"{there}attention.{p}_proj.weight"] for p in "qkv"])
            out[f"{here}attn.qkv.bias"] = torch.cat([s[f"{there}attention.q_proj.bias"]] * 3)
            out[f"{here}attn.qkv.bias_mask"] = out[f"{here}attn.qkv.bias"]
            pairs = [("attn.proj", "attention.o_proj"), ("norm1", "norm1"), ("norm2", "norm2"), ("mlp.fc1", "mlp.up_proj"), ("mlp.fc2", "mlp.down_proj")]
            out |= {f"{here}{a}.{leaf}": s[f"{there}{b}.{leaf}"] for a, b in pairs for leaf in ["weight", "bias"]}
            out |= {f"{here}ls{j}.gamma": s[f"{there}layer_scale{j}.lambda1"] for j in [1, 2]}
        return out

    def back(s):
        out = {"embeddings.cls_token": s["cls_token"], "embeddings.register_tokens": s["storage_tokens"], "norm.weight": s["norm.weight"], "norm.bias": s["norm.bias"]}
        out |= {f"embeddings.patch_embeddings.{leaf}": s[f"patch_embed.proj.{leaf}"] for leaf in ["weight", "bias"]}
        for i in range(2):
            there, here = f"model.layer.{i}.", f"blocks.{i}."
            for j, p in enumerate("qkv"):
                out[f"{there}attention.{p}_proj.weight"] = s[f"{here}attn.qkv.weight"].chunk(3)[j]
                if p != "k":
                    out[f"{there}attention.{p}_proj.bias"] = s[f"{here}attn.qkv.bias"].chunk(3)[j]
            pairs = [("attn.proj", "attention.o_proj"), ("norm1", "norm1"), ("norm2", "norm2"), ("mlp.fc1", "mlp.up_proj"), ("mlp.fc2", "mlp.down_proj")]
            out |= {f"{there}{b}.{leaf}": s[f"{here}{a}.{leaf}"] for a, b in pairs for leaf in ["weight", "bias"]}
            out |= {f"{there}layer_scale{j}.lambda1": s[f"{here}ls{j}.gamma"] for j in [1, 2]}
        return out

    case("DINOv3", family("DinoV3", "Small", 224), load(net, to_file, back), [(64, None, None, lambda x: net(x).last_hidden_state[:, 0])])


FAMILIES = """vit_small_patch16_224 vit_base_patch16_clip_224 vit_small_patch14_dinov2 vit_small_patch14_reg4_dinov2 vit_small_patch16_dinov3
vit_small_plus_patch16_dinov3 vit_base_patch16_siglip_224 vit_base_patch32_siglip_256 deit_tiny_patch16_224 deit3_small_patch16_224
beit_base_patch16_224 beitv2_base_patch16_224 eva02_tiny_patch14_224 eva02_base_patch14_224 eva02_base_patch16_clip_224 aimv2_large_patch14_224
vit_base_patch16_224.mae vit_small_patch16_224.dino vit_huge_patch14_gap_224""".split()


def full_size(folder):
    folder.mkdir(exist_ok=True, parents=True)
    torch.manual_seed(0)
    for name in FAMILIES:
        net = timm.create_model(name, pretrained=False)
        torch.save(net.state_dict(), folder / f"{name}.pth")
        print(name, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        full_size(pathlib.Path(sys.argv[1]))
    else:
        for part in (of_timm, of_hugging_face, of_open_clip, of_authors):
            part()
        (HERE / "vision_transformers.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
