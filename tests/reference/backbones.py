"""Features of torchvision's, timm's, open_clip's and Hugging Face's own networks, small, with hashed weights on a hashed image.

Where a library names tensors as Assay does, both sides compute the weights; else they are in a file beside `cases.json`.
`backbones.py DIR` writes networks of full size instead, for `cargo run --release -p assay-nn --example full_size -- DIR`.
"""

import collections
import json
import pathlib
import sys
import warnings

import numpy as np
import open_clip.transformer
import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from hashing import hashed, tensors

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent


class Widened(ResNet):
    """torchvision's ResNet with another number of channels in its first stage."""

    def __init__(self, block, depths, width):
        super().__init__(block, depths)
        self.inplanes = width
        self.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        for i, depth in enumerate(depths):
            setattr(self, f"layer{i + 1}", self._make_layer(block, width << i, depth, stride=1 if i == 0 else 2))


def hash_weights(net, without=None):
    if without:
        setattr(net, without, torch.nn.Identity())
    state = net.state_dict()
    shapes = {k: tuple(v.shape) for k, v in state.items() if not k.endswith(("num_batches_tracked", "position_ids"))}
    net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors(shapes).items()}, strict=False)
    return net.eval()


def to_stage(net, stage):
    """torchvision's ResNet up to the end of a stage."""

    def forward(x):
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        for i in range(1, stage + 1):
            x = getattr(net, f"layer{i}")(x)
        return x

    return forward


def gem(x, p=3.0):
    return x.clamp(min=1e-6).pow(p).mean((2, 3)).pow(1 / p)


def vit_tokens(net, depth=None, positions=None, side=None):
    """timm's tokens after so many blocks and the last norm; positions as `positions` resizes them."""

    def forward(x):
        x = net.patch_embed(x).flatten(2).transpose(1, 2) if net.patch_embed(x).dim() == 4 else net.patch_embed(x)
        x = torch.cat([net.cls_token.expand(x.shape[0], -1, -1), x], 1)
        x = x + (net.pos_embed if positions is None else positions(net.pos_embed, side))
        for block in net.blocks[:depth]:
            x = block(x)
        return net.norm(x)

    return forward


def interpolated(mode):
    """Position embeddings as the original codes resize them to `side` patches."""

    def resize(pos, side):
        old = int((pos.shape[1] - 1) ** 0.5)
        grid = pos[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
        if mode == "offset":  # DINO
            factor = (side + 0.1) / old
            grid = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        else:
            grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=mode == "antialias")
        assert grid.shape[-1] == side
        return torch.cat([pos[:, :1], grid.permute(0, 2, 3, 1).reshape(1, side * side, -1)], 1)

    return resize


def small_vit():
    net = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=3, num_classes=0, dynamic_img_size=False)
    net.patch_embed.strict_img_size = False
    return hash_weights(net)


def timm_dinov2(registers):
    net = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0, init_values=1.0,
        reg_tokens=registers, no_embed_class=False, dynamic_img_size=True,
    )
    return hash_weights(net)


OLD_HUB = [
    ("layers.", "encoder.layer."), ("attention.q_proj", "attention.attention.query"), ("attention.k_proj", "attention.attention.key"),
    ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense"),
]


def old_hub(state, is_vit):
    """Names of the files that are on the hub, which older versions of the library write."""
    out = {}
    for name, value in state.items():
        for new, old in OLD_HUB:
            name = name.replace(new, old) if new != "layers." or is_vit else name
        if is_vit:
            name = name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
        out[name] = value
    return out


def small():
    cases = []

    def case(name, backbone, forward, side=32, file=None, layer=None, pool=None, prefix=None):
        x = torch.from_numpy(hashed(2 * 3 * side * side, 77).astype(np.float32).reshape(2, 3, side, side))
        with torch.no_grad():
            y = forward(x).reshape(2, -1).numpy()
        assert np.isfinite(y).all(), name
        print(name, y.shape, float(np.abs(y).max()), float(y.std()))
        features = [[float(f"{v:.7g}") for v in row] for row in y]
        cases.append({"name": name, "backbone": backbone, "side": side, "file": file, "layer": layer, "pool": pool, "prefix": prefix, "features": features})

    def write(name, state):
        state = {k: v.contiguous() for k, v in state.items()}
        save_file(state, HERE / "backbones" / name)
        return name

    # ResNets
    net = hash_weights(Widened(BasicBlock, [1, 2, 1, 1], 8), "fc")
    case("basic", {"ResNet": {"block": "Basic", "depths": [1, 2, 1, 1], "width": 8}}, lambda x: gem(to_stage(net, 4)(x), 1.0), side=41)
    bottleneck = {"ResNet": {"depths": [1, 2, 1, 1], "width": 8}}
    net2 = hash_weights(Widened(Bottleneck, [1, 2, 1, 1], 8), "fc")
    for stage in (1, 2, 3, 4):
        case(f"layer{stage}", bottleneck, lambda x: to_stage(net2, stage)(x).mean((2, 3)), side=45, layer=f"layer{stage}")
    case("gem", bottleneck, lambda x: gem(to_stage(net2, 3)(x)), layer="layer3", pool={"GeM": {"p": 3.0}})
    case("flat", bottleneck, to_stage(net2, 4), side=50, pool="Flat")
    net3 = hash_weights(ResNet(Bottleneck, [1, 1, 1, 1], groups=4, width_per_group=8), "fc")
    case("resnext", {"ResNet": {"depths": [1, 1, 1, 1], "groups": 4, "group_width": 8}}, lambda x: to_stage(net3, 4)(x).mean((2, 3)))
    # Vision transformers
    net4 = small_vit()
    vit = {"size": {"Custom": {"width": 24, "depth": 3, "heads": 3}}, "patch": 8, "trained_at": 32}
    case("vit", {"ViT": vit}, lambda x: net4.forward_features(x)[:, 0])
    case("vit mean", {"ViT": vit}, lambda x: net4.forward_features(x)[:, 1:].mean(1), pool="Gap")
    case("vit both", {"ViT": vit}, lambda x: torch.cat([net4.forward_features(x)[:, 0], net4.forward_features(x)[:, 1:].mean(1)], 1), pool="ClsGap")
    case("vit block", {"ViT": vit}, lambda x: vit_tokens(net4, 2)(x)[:, 1:], layer="block2", pool="Flat")
    for mode, name in [("bicubic", "Bicubic"), ("offset", "BicubicOffset"), ("antialias", "BicubicAntialias")]:
        for side in (24, 56):
            spec = {"ViT": {**vit, "positions": name}}
            case(f"vit {mode} {side}", spec, lambda x: vit_tokens(net4, None, interpolated(mode), side // 8)(x)[:, 0], side=side)
    dino = {"size": {"Custom": {"width": 24, "depth": 2, "heads": 3}}, "patch": 8, "trained_at": 32}
    net5 = timm_dinov2(0)
    case("dinov2", {"DinoV2": dino}, lambda x: net5.forward_features(x)[:, 0])
    # Hugging Face
    config = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=8)
    hf = hash_weights(transformers.ViTModel(transformers.ViTConfig(**config, intermediate_size=96)))
    vit2 = {"ViT": {**vit, "size": {"Custom": {"width": 24, "depth": 2, "heads": 3}}}}
    file = write("hf-vit.safetensors", old_hub({f"vit.{k}": v for k, v in hf.state_dict().items()}, True))
    case("hf vit", vit2, lambda x: hf(x).last_hidden_state[:, 0], file=file)
    file = write("hf-vit-new.safetensors", hf.state_dict())
    case("hf vit of version 5", vit2, lambda x: hf(x, interpolate_pos_encoding=True).last_hidden_state[:, 0], side=48, file=file)
    hf2 = hash_weights(transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**config, mlp_ratio=4)))
    file = write("hf-dinov2-registers.safetensors", old_hub(hf2.state_dict(), False))
    case("hf dinov2 registers", {"DinoV2": {**dino, "registers": 4}}, lambda x: hf2(x).last_hidden_state[:, 0], file=file)
    case("hf dinov2 registers mean", {"DinoV2": {**dino, "registers": 4}}, lambda x: hf2(x).last_hidden_state[:, 5:].mean(1), file=file, pool="Gap")
    hf3 = hash_weights(transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**config, intermediate_size=96, projection_dim=10)))
    clip = {"size": {"Custom": {"width": 24, "depth": 2, "heads": 3}}, "patch": 8, "trained_at": 32}
    file = write("hf-clip.safetensors", {**hf3.state_dict(), "logit_scale": torch.tensor(1.0), "text_model.final_layer_norm.weight": torch.zeros(3)})
    case("hf clip", {"Clip": {**clip, "projected": 10}}, lambda x: hf3(x).image_embeds, file=file)
    case("hf clip before", {"Clip": clip}, lambda x: hf3.vision_model(x).pooler_output, file=file)
    tower = hash_weights(open_clip.transformer.VisionTransformer(32, 8, 24, 2, 3, 4, act_layer=open_clip.transformer.QuickGELU, output_dim=10))
    case("openai clip", {"Clip": {**clip, "projected": 10}}, tower)
    # ConvNeXt
    spec = {"ConvNeXt": {"size": {"Custom": {"depths": [1, 1, 2, 1], "width": 4}}}}
    net6 = hash_weights(timm.create_model("convnext_tiny", depths=(1, 1, 2, 1), dims=(4, 8, 16, 32), num_classes=3))
    file = write("timm-convnext.safetensors", net6.state_dict())
    case("timm convnext", spec, lambda x: net6.forward_head(net6.forward_features(x), pre_logits=True), side=64, file=file)
    blocks = torchvision.models.convnext.CNBlockConfig
    settings = [blocks(4, 8, 1), blocks(8, 16, 1), blocks(16, 32, 2), blocks(32, None, 1)]
    net7 = torchvision.models.ConvNeXt(settings, num_classes=3)
    hash_weights(net7)
    file = write("torchvision-convnext.safetensors", net7.state_dict())
    case("torchvision convnext", spec, lambda x: net7.classifier[:2](net7.avgpool(net7.features(x))), side=70, file=file)
    case("torchvision convnext stage", spec, lambda x: net7.features[:4](x).mean((2, 3)), side=64, file=file, layer="layer2")
    # MobileNetV2
    net8 = hash_weights(torchvision.models.MobileNetV2(width_mult=0.1), "classifier")
    case("mobilenet", {"MobileNetV2": {"width": 0.1}}, lambda x: net8.features(x).mean((2, 3)), side=64)
    (HERE / "backbones" / "cases.json").write_text(json.dumps(cases) + "\n")


def full_size(folder):
    folder.mkdir(exist_ok=True, parents=True)
    models = torchvision.models
    clip = open_clip.transformer.VisionTransformer(224, 32, 768, 12, 12, 4, act_layer=open_clip.transformer.QuickGELU, output_dim=512)
    dino = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=518)
    registers = transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=224, patch_size=14)
    )
    resnets = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"]
    names = ["ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", "WideResNet50", "ResNeXt50"]
    nets = [(n, b, models.get_model(n), lambda net, x: to_stage(net, 4)(x).mean((2, 3)), 224) for n, b in zip(resnets, names)]
    cls = lambda net, x: net.forward_features(x)[:, 0]
    size = lambda s: {"size": s}
    nets += [
        ("vit_small_patch16", {"ViT": size("Small")}, timm.create_model("vit_small_patch16_224", num_classes=0), cls, 224),
        ("vit_base_patch16", {"ViT": size("Base")}, timm.create_model("vit_base_patch16_224", num_classes=0), cls, 224),
        ("dinov2_small", {"DinoV2": size("Small")}, dino, cls, 518),
        ("dinov2_small_registers", {"DinoV2": {**size("Small"), "registers": 4, "trained_at": 224}}, registers, lambda net, x: net(x).last_hidden_state[:, 0], 224),
        ("clip_base_patch32", {"Clip": {"projected": 512}}, clip, lambda net, x: net(x), 224),
        ("convnext_tiny", {"ConvNeXt": size("Tiny")}, models.convnext_tiny(), lambda net, x: net.classifier[:2](net.avgpool(net.features(x))).flatten(1), 224),
        ("mobilenet_v2", {"MobileNetV2": {}}, models.mobilenet_v2(), lambda net, x: net.features(x).mean((2, 3)), 224),
    ]
    cases = []
    torch.manual_seed(0)
    for name, backbone, net, forward, side in nets:
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # random statistics
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        net.eval()
        x = torch.from_numpy(hashed(2 * 3 * side * side, 77).astype(np.float32).reshape(2, 3, side, side))
        with torch.no_grad():
            y = forward(net, x).numpy()
        print(name, y.shape, float(np.abs(y).max()), flush=True)
        torch.save(collections.OrderedDict(net.state_dict()), folder / f"{name}.pth")
        cases.append({"name": name, "backbone": backbone, "side": side, "file": f"{name}.pth", "features": y.tolist()})
    (folder / "cases.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        full_size(pathlib.Path(sys.argv[1]))
    else:
        (HERE / "backbones").mkdir(exist_ok=True)
        small()
