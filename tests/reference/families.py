"""Features and maps of the convolutional networks and Swin transformers of timm and torchvision, with hashed weights under each library's own
names, on hashed images that are no squares: the smallest published network of each family, and small ones for what is not published small.

`families.py` writes every case, `families.py PART…` those whose names hold one of the parts.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import timm
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision

from hashing import hashed, tensors

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent / "families"
SAMPLE = 48
torch.set_num_threads(2)


def is_hashed(name, value, heads):
    """Whether a tensor is made of hashed numbers: not counters, tables of indices, and classifiers."""
    is_table = name.endswith(("relative_position_index", "relative_coords_table", "num_batches_tracked", "attn_mask", "filt"))
    return value.is_floating_point() and not is_table and not name.startswith(heads)


def sample(values):
    every = max(values.size // SAMPLE, 1) | 1
    numbers = [float(f"{v:.7g}") for v in values.flatten()[::every]]
    return {"shape": list(values.shape), "scale": float(np.abs(values).max()), "every": every, "numbers": numbers}


def case(name, library, net, backbone, features, stages=None, size=(64, 96), heads=("fc.", "head.", "classifier."), guess=None, rename=None, gain=1.0):
    """`gain`: factor on all kernels and matrices, so that numbers neither vanish nor explode in a deep network. `guess`: what the file is recognised as, where that is not the backbone. `rename`: from the library's names to those in the file."""
    if not any(part in name for part in sys.argv[1:] or [""]):
        return
    torch.manual_seed(0)
    rename = rename or (lambda n: n)
    state = net.state_dict()
    names = {rename(n): n for n, v in state.items() if is_hashed(n, v, heads)}
    shapes = {n: tuple(state[theirs].shape) for n, theirs in names.items()}
    values = {n: v * np.float32(gain if v.ndim > 1 else 1) for n, v in tensors(shapes).items()}
    net.load_state_dict({names[n]: torch.from_numpy(v) for n, v in values.items()}, strict=False)
    net.eval()
    others = sorted(rename(n) for n, v in state.items() if not is_hashed(n, v, heads) and not n.endswith("num_batches_tracked"))
    height, width = size
    x = torch.from_numpy(hashed(2 * 3 * height * width, 77).astype(np.float32).reshape(2, 3, height, width))
    with torch.no_grad():
        y = features(net, x).reshape(2, -1).numpy()
        maps = [m.numpy() for m in stages(net, x)] if stages else []
    assert all(np.isfinite(m).all() for m in [y, *maps]), name
    spread = float(np.abs(y[0] - y[1]).max() / np.abs(y).max())
    print(f"{name:<40} {len(shapes):>4} tensors  scale {np.abs(y).max():9.3g}  spread {spread:.2g}", [m.shape[1:] for m in maps], flush=True)
    out = {
        "name": name,
        "library": library,
        "backbone": backbone,
        "guess": guess or backbone,
        "height": height,
        "width": width,
        "gain": gain,
        "tensors": [f"{n} {'x'.join(map(str, s))}" for n, s in sorted(shapes.items())],
        "others": others,
        "features": sample(y),
        "stages": [sample(m) for m in maps],
    }
    (HERE / f"{name}.json").write_text(json.dumps(out, indent=0) + "\n")


# What several libraries have in common.
TIMM = f"timm {timm.__version__}"
TORCHVISION = f"torchvision {torchvision.__version__.split('+')[0]}"
pre_logits = lambda net, x: net.forward_head(net.forward_features(x), pre_logits=True)
pooled = lambda net, x: net.forward_features(x).mean((2, 3))


def intermediates(indices):
    return lambda net, x: net.forward_intermediates(x, indices=indices, intermediates_only=True)


def resnet_stages(net, x):
    x = net.maxpool(torch.relu(net.bn1(net.conv1(x))))
    maps = []
    for i in range(1, 5):
        x = getattr(net, f"layer{i}")(x)
        maps.append(x)
    return maps


def resnets():
    from timm.layers import BlurPool2d
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet
    from torchvision.models.resnet import BasicBlock as TvBasic
    from torchvision.models.resnet import ResNet as TvResNet

    stages = intermediates([1, 2, 3, 4])
    ours = lambda **fields: {"ResNet": {"block": "Basic", "depths": [2, 2, 2, 2], **fields}}
    deep = lambda *widths: {"Deep": {"widths": list(widths)}}
    create = timm.create_model
    case("resnet18-timm", TIMM, create("resnet18"), "ResNet18", pre_logits, stages)
    case("resnet18d-timm", TIMM, create("resnet18d"), ours(stem=deep(32, 32, 64), shortcut="AvgPool"), pre_logits, stages, size=(75, 97))
    case("resnet14t-timm", TIMM, create("resnet14t"), {"ResNet": {"depths": [1, 1, 1, 1], "stem": deep(24, 32, 64), "shortcut": "AvgPool"}}, pre_logits, stages)
    case("seresnet18-timm", TIMM, create("seresnet18"), ours(squeeze=16), pre_logits, stages)
    small = {"ResNet": {"depths": [1, 1, 1, 1]}}
    one = lambda block, **options: ResNet(block, [1, 1, 1, 1], **options)
    with_filter = lambda spec, kind: {"ResNet": {**spec["ResNet"], "antialias": kind}}
    case("resnetaa-timm", TIMM, one(Bottleneck, aa_layer=nn.AvgPool2d), with_filter(small, "AvgPool"), pre_logits, stages, size=(63, 96), guess=small)
    case("resnetblur-timm", TIMM, one(Bottleneck, aa_layer=BlurPool2d), with_filter(small, "Blur"), pre_logits, stages, size=(75, 97), guess=small)
    basic = {"ResNet": {"block": "Basic", "depths": [1, 1, 1, 1]}}
    case("resnetblur-basic-timm", TIMM, one(BasicBlock, aa_layer=BlurPool2d), with_filter(basic, "Blur"), pre_logits, stages, size=(75, 97), guess=basic)
    spec = {"ResNet": {"depths": [1, 1, 1, 1], "groups": 32, "group_width": 4, "squeeze": 16, "shortcut": "AvgPool", "stem": deep(32, 32, 64)}}
    net = one(Bottleneck, aa_layer=nn.AvgPool2d, avg_down=True, stem_type="deep", stem_width=32, cardinality=32, base_width=4, block_args=dict(attn_layer="se"))
    case("seresnextaa-d-timm", TIMM, net, with_filter(spec, "AvgPool"), pre_logits, stages, guess=spec)

    def first_in_1x1(net):
        for i in (2, 3, 4):
            block = getattr(net, f"layer{i}")[0]
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        return net

    net = first_in_1x1(TvResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1]))
    case("resnet-caffe", TORCHVISION, net, {"ResNet": {"depths": [1, 1, 1, 1], "stride_in": "Conv1"}}, lambda n, x: resnet_stages(n, x)[-1].mean((2, 3)), resnet_stages, guess=small, size=(75, 97))

    def for_cifar(padding, pools=False):
        net = TvResNet(TvBasic, [1, 1, 1, 1])
        net.conv1 = nn.Conv2d(3, 64, 3, 1, padding, bias=False)
        if not pools:
            net.maxpool = nn.Identity()
        return net

    features = lambda n, x: resnet_stages(n, x)[-1].mean((2, 3))
    stem = lambda kind: {"ResNet": {"block": "Basic", "depths": [1, 1, 1, 1], "stem": kind}}
    case("resnet-cifar", TORCHVISION, for_cifar(1), stem("Small"), features, resnet_stages, size=(32, 29))
    case("resnet-cifar-solo", TORCHVISION, for_cifar(2), stem("SmallPadded"), features, resnet_stages, size=(32, 29), guess=stem("Small"))
    case("resnet-cifar-pooled", TORCHVISION, for_cifar(1, True), stem("SmallPooled"), features, resnet_stages, size=(32, 29), guess=stem("Small"))
    children = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    rows = lambda skip: {c: str(i) for i, c in enumerate(c for c in children if c not in skip)}

    def numbered(skip, prefix):
        row = rows(skip)
        return lambda n: f"{prefix}{row[n.split('.')[0]]}.{n.split('.', 1)[1]}" if n.split(".")[0] in row else n

    case("resnet-cifar-sequential", TORCHVISION, for_cifar(1), stem("Small"), features, resnet_stages, size=(32, 29), rename=numbered(["maxpool"], "backbone."))
    lightly = lambda n: numbered(["relu", "maxpool"], "backbone.")(n).replace("downsample", "shortcut")
    case("resnet-cifar-lightly", TORCHVISION, for_cifar(1), stem("Small"), features, resnet_stages, size=(32, 29), rename=lightly)
    case("resnet-pytorch-cifar", TORCHVISION, for_cifar(1), stem("Small"), features, resnet_stages, size=(32, 29), rename=lambda n: n.replace("downsample", "shortcut"))

    def hugging_face(n):
        part, _, rest = n.partition(".")
        kind = lambda is_conv: "convolution" if is_conv else "normalization"
        if part in ("conv1", "bn1"):
            return f"resnet.embedder.embedder.{kind(part == 'conv1')}.{rest}"
        if not part.startswith("layer"):
            return f"classifier.1.{rest}"
        block, layer, leaf = rest.split(".", 2)
        at = f"resnet.encoder.stages.{int(part[5:]) - 1}.layers.{block}"
        if layer == "downsample":
            index, leaf = leaf.split(".")
            return f"{at}.shortcut.{kind(index == '0')}.{leaf}"
        return f"{at}.layer.{int(layer[-1]) - 1}.{kind(layer.startswith('conv'))}.{leaf}"

    case("resnet-hf", TORCHVISION + ", in the names of transformers", TvResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1]), small, features, resnet_stages, rename=hugging_face)


def tv(name):
    return torchvision.models.get_model(name)


def chain(module, *cuts):
    """The maps at the ends of parts of a torchvision network's `features`."""

    def forward(net, x):
        maps, begin = [], 0
        for end in [*cuts, len(net.features)]:
            x = net.features[begin:end](x)
            maps.append(x)
            begin = end
        return maps

    return forward


def regnets():
    size = lambda s: {"RegNet": {"size": s}}
    stages = intermediates([1, 2, 3, 4])
    case("regnetx-timm", TIMM, timm.create_model("regnetx_002"), size("X200MF"), pre_logits, stages, size=(75, 97))
    case("regnety-timm", TIMM, timm.create_model("regnety_002"), size("Y200MF"), pre_logits, stages)

    def tv_stages(net, x):
        x, maps = net.stem(x), []
        for block in net.trunk_output:
            x = block(x)
            maps.append(x)
        return maps

    features = lambda net, x: net.avgpool(net.trunk_output(net.stem(x)))
    case("regnety-torchvision", TORCHVISION, tv("regnet_y_400mf"), size("Y400MF"), features, tv_stages, size=(75, 97))
    case("regnetx-torchvision", TORCHVISION, tv("regnet_x_400mf"), {"RegNet": {"size": {"Custom": {"depths": [1, 2, 7, 12], "widths": [32, 64, 160, 400], "group_width": 16, "squeeze": False}}}}, features)

    def vissl(n):
        if n.startswith("fc."):
            return "heads." + n.replace("fc.", "0.clf.0.")
        n = n.replace("stem.", "_feature_blocks.conv1.stem.")
        for i in range(1, 5):
            n = n.replace(f"trunk_output.block{i}.", f"_feature_blocks.res{i + 1}.")
        n = n.replace("proj.0.", "proj.").replace("proj.1.", "bn.").replace("f.c.0.", "f.c.").replace("f.c.1.", "f.final_bn.")
        n = n.replace("f.se.fc1.", "f.se.excitation.0.").replace("f.se.fc2.", "f.se.excitation.2.")
        return "trunk." + n

    case("regnety-vissl", TORCHVISION + ", in the names of VISSL", tv("regnet_y_400mf"), size("Y400MF"), features, tv_stages, rename=vissl)


def mobile():
    create = timm.create_model
    eff = lambda size, library=None: {"EfficientNet": {"size": size, **({"library": library} if library else {})}}
    v3 = lambda size, library=None: {"MobileNetV3": {"size": size, **({"library": library} if library else {})}}
    features = lambda net, x: net.features(x).mean((2, 3))
    head = lambda net, x: net.classifier[:2](net.features(x).mean((2, 3)))

    def effnet(net, x):  # timm has the last convolution after its maps
        maps = net.forward_intermediates(x, indices=[1, 2, 3, 4], intermediates_only=True)
        return [*maps[:3], net.forward_features(x)]

    v3_maps = lambda net, x: [*net.forward_intermediates(x, indices=[1, 2, 3], intermediates_only=True), net.forward_features(x)]
    case("mobilenetv2-timm", TIMM, create("mobilenetv2_050"), {"MobileNetV2": {"width": 0.5}}, pre_logits, effnet, size=(75, 97))
    case("efficientnet-timm", TIMM, create("efficientnet_b0"), eff("B0", "Timm"), pre_logits, effnet, guess=eff("B0"), gain=1.125)
    case("efficientnet-tf", TIMM, create("tf_efficientnet_b0"), eff("B0", "TensorFlow"), pre_logits, effnet, size=(75, 97), guess=eff("B0"), gain=1.125)
    case("efficientnet-b1-torchvision", TORCHVISION, tv("efficientnet_b1"), eff("B1"), features, chain("features", 3, 4, 6), gain=1.0625)
    case("efficientnetv2-timm", TIMM, create("tf_efficientnetv2_b0"), eff("V2B0", "TensorFlow"), pre_logits, effnet, size=(75, 97), guess=eff("V2B0"))
    case("efficientnetv2-b3-timm", TIMM, create("tf_efficientnetv2_b3"), eff("V2B3", "TensorFlow"), pre_logits, guess=eff("V2B3"), size=(64, 64), gain=0.875)
    case("efficientnetv2-torchvision", TORCHVISION, tv("efficientnet_v2_s"), eff("V2S"), features, chain("features", 3, 4, 6), size=(64, 64), gain=0.875)

    def pytorch(n):
        n = n.replace("conv_stem", "_conv_stem").replace("conv_head", "_conv_head").replace("classifier", "_fc")
        if not n.startswith("blocks"):
            return n.replace("bn1", "_bn0").replace("bn2", "_bn1")
        depths = [1, 2, 2, 3, 3, 4, 1]
        _, i, j, rest = n.split(".", 3)
        number = sum(depths[: int(i)]) + int(j)
        table = [("conv_dw", "_depthwise_conv"), ("conv_pw.", "_project_conv."), ("bn2", "_bn2"), ("bn1", "_bn1")] if i == "0" else [
            ("conv_pwl", "_project_conv"), ("conv_pw.", "_expand_conv."), ("conv_dw", "_depthwise_conv"), ("bn1", "_bn0"), ("bn2", "_bn1"), ("bn3", "_bn2")]
        for ours, theirs in [*table, ("se.conv_reduce", "_se_reduce"), ("se.conv_expand", "_se_expand")]:
            if rest.startswith(ours):
                return f"_blocks.{number}.{theirs}{rest[len(ours):]}"
        raise ValueError(n)

    name = TIMM + ", in the names of efficientnet_pytorch"
    case("efficientnet-pytorch", name, create("tf_efficientnet_b0"), eff("B0", "TensorFlow"), pre_logits, effnet, size=(64, 64), guess=eff("B0"), rename=pytorch, heads=("classifier.",), gain=1.125)
    case("mobilenetv3-small-timm", TIMM, create("mobilenetv3_small_100"), v3("Small", "Timm"), pre_logits, v3_maps, guess=v3("Small"), size=(75, 97))
    case("mobilenetv3-small-tf", TIMM, create("tf_mobilenetv3_small_100"), v3("Small", "TensorFlow"), pre_logits, v3_maps, guess=v3("Small"), size=(75, 97))
    case("mobilenetv3-large-timm", TIMM, create("mobilenetv3_large_100"), v3("Large", "Timm"), pre_logits, v3_maps, guess=v3("Large"))
    heads = ("classifier.3.",)
    case("mobilenetv3-small-torchvision", TORCHVISION, tv("mobilenet_v3_small"), v3("Small"), head, chain("features", 2, 4, 9), heads=heads, size=(75, 97))
    case("mobilenetv3-large-torchvision", TORCHVISION, tv("mobilenet_v3_large"), v3("Large"), head, chain("features", 4, 7, 13), heads=heads)


def plain():
    create = timm.create_model
    relu_pooled = lambda net, x: F.relu(net.features(x)).mean((2, 3))

    def dense_maps(net, x):
        x, maps = net.features[:4](x), []
        for i in range(1, 5):
            x = getattr(net.features, f"denseblock{i}")(x)
            maps.append(x)
            if i < 4:
                x = getattr(net.features, f"transition{i}")(x)
        maps[-1] = F.relu(net.features.norm5(maps[-1]))
        return maps

    small = torchvision.models.DenseNet(8, (2, 3, 2, 2), 16)
    spec = {"DenseNet": {"depths": [2, 3, 2, 2], "growth": 8, "width": 16}}
    case("densenet121-timm", TIMM, create("densenet121"), {"DenseNet": {}}, pre_logits)
    case("densenet-torchvision", TORCHVISION, small, spec, relu_pooled, dense_maps, size=(75, 113))
    older = lambda n: n.replace(".norm1.", ".norm.1.").replace(".norm2.", ".norm.2.").replace(".conv1.", ".conv.1.").replace(".conv2.", ".conv.2.")
    case("densenet-old-torchvision", TORCHVISION + ", in the names of 0.4", small, spec, relu_pooled, dense_maps, rename=older)

    def vgg_maps(net, x):
        maps = []
        for layer in net.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps

    heads = ("classifier.", "head.", "pre_logits.")
    mean = lambda net, x: net.features(x).mean((2, 3))
    for name, library, make in [("timm", TIMM, create), ("torchvision", TORCHVISION, tv)]:
        case(f"vgg11-{name}", library, make("vgg11"), {"Vgg": {"layers": 11}}, mean, vgg_maps, heads=heads, size=(45, 77))
        case(f"vgg11-bn-{name}", library, make("vgg11_bn"), {"Vgg": {"layers": 11, "batch_norm": True}}, mean, vgg_maps, heads=heads, size=(64, 64))


def convnexts():
    create = timm.create_model
    stages = intermediates([0, 1, 2, 3])
    spec = lambda version, **size: {version: {"size": {"Custom": size} if size else "Atto"}}
    case("convnext-atto-timm", TIMM, create("convnext_atto"), spec("ConvNeXt"), pre_logits, stages, heads=("head.fc.",))
    case("convnextv2-atto-timm", TIMM, create("convnextv2_atto"), spec("ConvNeXtV2"), pre_logits, stages, heads=("head.fc.",), size=(70, 97))

    def authors(n):
        n = n.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head.")
        for i in range(4):
            n = n.replace(f"stages.{i}.downsample.", f"downsample_layers.{i}.").replace(f"stages.{i}.blocks.", f"stages.{i}.")
        return n.replace("conv_dw.", "dwconv.").replace("mlp.fc1.", "pwconv1.").replace("mlp.fc2.", "pwconv2.")

    net = create("convnext_atto", conv_mlp=False)
    case("convnext-authors", TIMM + ", in the authors' names", net, spec("ConvNeXt"), pre_logits, stages, heads=("head.fc.",), rename=authors)


def swins():
    from timm.models.swin_transformer import SwinTransformer
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    heads = ("head.fc.", "head.weight", "head.bias")
    custom = {"size": {"Custom": {"depths": [1, 2, 2, 1], "width": 24, "heads": 2}}}
    options = dict(img_size=(64, 128), window_size=2, embed_dim=24, depths=(1, 2, 2, 1), num_heads=(2, 4, 8, 16), num_classes=3)
    stages = intermediates([0, 1, 2, 3])
    size = (64, 128)
    v1 = {"Swin": {**custom, "window": 2}}
    v2 = lambda **more: {"SwinV2": {**custom, **more}}
    case("swin-timm", TIMM, SwinTransformer(**options), v1, pre_logits, stages, heads=heads, size=size)
    net = SwinTransformerV2(**options)
    case("swinv2-timm", TIMM, net, v2(window=2), pre_logits, stages, heads=heads, size=size, guess=v2())
    far = SwinTransformerV2(**{**options, "window_size": 4, "img_size": (128, 128)}, pretrained_window_sizes=(2, 2, 2, 1))
    case("swinv2-timm-2to4", TIMM, far, v2(window=4, pretrained_window=2), pre_logits, stages, heads=heads, size=(128, 128), guess=v2())

    def authors(n):
        for i in range(1, 4):
            n = n.replace(f"layers.{i}.downsample.", f"layers.{i - 1}.downsample.")
        return n.replace("head.fc.", "head.")

    case("swin-authors", TIMM + ", in the authors' names", SwinTransformer(**options), v1, pre_logits, stages, heads=heads, size=size, rename=authors)
    case("swinv2-authors", TIMM + ", in the authors' names", net, v2(window=2), pre_logits, stages, heads=heads, size=size, rename=authors, guess=v2())

    def maps(net, x):
        found = []
        for i, layer in enumerate(net.features):
            x = layer(x)
            if i % 2:
                found.append(x.permute(0, 3, 1, 2))
        return found

    features = lambda net, x: net.norm(net.features(x)).mean((1, 2))
    case("swin-torchvision", TORCHVISION, tv("swin_t"), {"Swin": {"size": "Tiny"}}, features, maps, heads=heads)
    case("swinv2-torchvision", TORCHVISION, tv("swin_v2_t"), {"SwinV2": {"size": "Tiny"}}, features, maps, heads=heads, size=(75, 97))


def clip_resnets():
    net = timm.create_model("resnet50_clip", num_classes=1024)
    stages = intermediates([1, 2, 3, 4])
    embeddings = lambda net, x: net(x)

    def openai(n):
        parts = n.split(".")
        conv = lambda kind, number: ("bn" if kind == "bn" else "conv") + number
        if parts[0] == "stem":
            ours = [conv(parts[2], parts[1][-1])]
        elif parts[0] == "head":
            ours = ["attnpool", "positional_embedding" if parts[1] == "pos_embed" else {"proj": "c"}.get(parts[1], parts[1]) + "_proj"]
        elif parts[3] == "shortcut":
            ours = [f"layer{int(parts[1]) + 1}", parts[2], "downsample", "1" if parts[5] == "bn" else "0"]
        else:
            ours = [f"layer{int(parts[1]) + 1}", parts[2], conv(parts[4], parts[3][4])]
        return ".".join(["visual", *ours, *([parts[-1]] if parts[-1] != "pos_embed" else [])])

    case("clip-resnet-timm", TIMM, net, {"ClipResNet": {"size": "RN50"}}, embeddings, stages, heads=("none",), size=(64, 96))
    case("clip-resnet-openai", TIMM + ", in OpenAI's names", net, {"ClipResNet": {"size": "RN50"}}, embeddings, stages, heads=("none",), size=(64, 64), rename=openai)


def hugging_face():
    """Needs `transformers` and `open_clip_torch` besides."""
    import open_clip.modified_resnet
    import transformers as t

    library = f"transformers {t.__version__}"
    output = lambda net, x: net(x).pooler_output
    sizes = dict(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 2, 1])
    spec = lambda version: {version: {"size": {"Custom": {"depths": [1, 1, 2, 1], "width": 8}}}}
    case("convnext-hf", library, t.ConvNextModel(t.ConvNextConfig(**sizes, layer_norm_eps=1e-6)), spec("ConvNeXt"), output, size=(70, 97))
    case("convnextv2-hf", library, t.ConvNextV2Model(t.ConvNextV2Config(**sizes, layer_norm_eps=1e-6)), spec("ConvNeXtV2"), output)
    dino = t.DINOv3ConvNextModel(t.DINOv3ConvNextConfig(**sizes))
    case("convnext-dinov3-hf-5", library, dino, spec("ConvNeXt"), output)
    on_the_hub = lambda n: n.removeprefix("model.")
    case("convnext-dinov3-hf", library + ", in the names of the hub", dino, spec("ConvNeXt"), output, size=(70, 97), rename=on_the_hub)
    shape = dict(image_size=64, embed_dim=24, depths=[1, 2, 2, 1], num_heads=[2, 4, 8, 16], window_size=2)
    custom = {"size": {"Custom": {"depths": [1, 2, 2, 1], "width": 24, "heads": 2}}}
    net = t.SwinModel(t.SwinConfig(**shape))
    case("swin-hf-5", library, net, {"Swin": {**custom, "window": 2}}, output, size=(64, 64))

    def older(n):
        for new, old in [("attention.q_proj", "attention.self.query"), ("attention.k_proj", "attention.self.key"), ("attention.v_proj", "attention.self.value"),
                         ("attention.o_proj", "attention.output.dense"), ("attention.relative_position_bias.", "attention.self."), ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")]:
            n = n.replace(new, old)
        return "swin." + n

    case("swin-hf", library + ", in the names of the hub", net, {"Swin": {**custom, "window": 2}}, output, size=(64, 64), rename=older)
    net = t.Swinv2Model(t.Swinv2Config(**shape))
    case("swinv2-hf", library, net, {"SwinV2": {**custom, "window": 2}}, output, size=(64, 64), guess={"SwinV2": custom})
    case("resnet-hf-model", library, t.ResNetModel(t.ResNetConfig(depths=[1, 1, 1, 1], hidden_sizes=[32, 64, 128, 256], embedding_size=8)), {"ResNet": {"depths": [1, 1, 1, 1], "width": 8}}, output)
    tower = open_clip.modified_resnet.ModifiedResNet([1, 1, 1, 1], output_dim=16, heads=4, image_size=64, width=8)
    spec = {"ClipResNet": {"size": {"Custom": {"depths": [1, 1, 1, 1], "width": 8, "output": 16, "trained_at": 64}}}}
    case("clip-resnet-open-clip", f"open_clip {open_clip.__version__}", tower, spec, lambda net, x: net(x), size=(64, 64), heads=("none",), rename=lambda n: "visual." + n)


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    resnets()
    regnets()
    mobile()
    plain()
    convnexts()
    swins()
    clip_resnets()
    hugging_face()
