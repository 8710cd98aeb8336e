"""Maps after the stages of torchvision's, timm's and plain torch networks, small, with hashed weights, on hashed images that are no
squares: of each map, its shape and a sample of its numbers."""

import json
import pathlib

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torchvision.models.resnet import Bottleneck, ResNet

from hashing import hashed, tensors
from torch_backbones import CifarResNet, Conv4

HERE = pathlib.Path(__file__).parent
SAMPLE = 120


def hash_weights(net):
    state = net.state_dict()
    is_ours = lambda name: not name.endswith("num_batches_tracked") and not name.startswith(("fc.", "classifier."))
    shapes = {k: tuple(v.shape) for k, v in state.items() if is_ours(k)}
    net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors(shapes).items()}, strict=False)
    return net.eval()


def resnet_stages(net):
    def forward(x):
        x = net.maxpool(torch.relu(net.bn1(net.conv1(x))))
        maps = []
        for i in range(1, 5):
            x = getattr(net, f"layer{i}")(x)
            maps.append(x)
        return maps

    return forward


def chain(*parts):
    """The maps after each part."""

    def forward(x):
        maps = []
        for part in parts:
            x = part(x)
            maps.append(x)
        return maps

    return forward


def torchvision_resnet(depths, dilate, **options):
    return resnet_stages(hash_weights(ResNet(Bottleneck, depths, replace_stride_with_dilation=dilate, **options)))


def vit(x):
    net = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=3, num_classes=0, dynamic_img_size=True)
    return hash_weights(net).forward_intermediates(x, indices=[0, 1, 2], norm=True, output_fmt="NCHW", intermediates_only=True)


def convnext():
    net = timm.create_model("convnext_tiny", depths=(1, 1, 2, 1), dims=(4, 8, 16, 32), num_classes=3)
    net.load_state_dict(load_file(HERE / "backbones" / "timm-convnext.safetensors"))
    net.eval()
    return chain(lambda x: net.stages[0](net.stem(x)), *net.stages[1:])


def mobilenet():
    features = hash_weights(torchvision.models.MobileNetV2(width_mult=0.1)).features
    return chain(features[:4], features[4:7], features[7:14], features[14:])


def cifar():
    net = hash_weights(CifarResNet(1 + 2))
    return chain(lambda x: net.layer1(torch.relu(net.bn1(net.conv1(x)))), net.layer2, net.layer3)


def main():
    cases = []

    def case(name, backbone, forward, height, width, channels=3, file=None):
        x = hashed(2 * channels * height * width, 77).astype(np.float32).reshape(2, channels, height, width)
        with torch.no_grad():
            maps = [m.numpy() for m in forward(torch.from_numpy(x))]
        stages = []
        for m in maps:
            assert np.isfinite(m).all(), name
            every = max(m.size // SAMPLE, 1) | 1
            numbers = [float(f"{v:.7g}") for v in m.flatten()[::every]]
            stages.append({"shape": list(m.shape), "scale": float(np.abs(m).max()), "every": every, "numbers": numbers})
        print(name, *[s["shape"] for s in stages], *[s["scale"] for s in stages])
        cases.append({"name": name, "backbone": backbone, "channels": channels, "height": height, "width": width, "file": file, "stages": stages})

    depths = [1, 2, 2, 2]
    case("resnet", {"ResNet": {"depths": depths}}, torchvision_resnet(depths, None), 64, 96)
    case("resnet, odd", {"ResNet": {"depths": depths}}, torchvision_resnet(depths, None), 45, 77)
    case("resnet dilated to 16", {"ResNet": {"depths": depths, "output_stride": 16}}, torchvision_resnet(depths, [False, False, True]), 45, 77)
    case("resnet dilated to 8", {"ResNet": {"depths": depths, "output_stride": 8}}, torchvision_resnet(depths, [False, True, True]), 45, 77)
    spec = {"ResNet": {"depths": depths, "groups": 4, "group_width": 8, "output_stride": 8}}
    case("resnext dilated to 8", spec, torchvision_resnet(depths, [False, True, True], groups=4, width_per_group=8), 64, 96)
    # torchvision refuses to dilate basic blocks; timm does it.
    basic = resnet_stages(hash_weights(timm.models.resnet.ResNet(timm.models.resnet.BasicBlock, depths, output_stride=8)))
    case("basic dilated to 8", {"ResNet": {"block": "Basic", "depths": depths, "output_stride": 8}}, basic, 45, 77)
    spec = {"size": {"Custom": {"width": 24, "depth": 3, "heads": 3}}, "patch": 8, "trained_at": 32, "positions": "BicubicAntialias"}
    case("vit, wide", {"ViT": spec}, vit, 32, 56)
    case("vit, tall", {"ViT": spec}, vit, 48, 24)
    case("convnext", {"ConvNeXt": {"size": {"Custom": {"depths": [1, 1, 2, 1], "width": 4}}}}, convnext(), 64, 96, file="timm-convnext.safetensors")
    case("mobilenet", {"MobileNetV2": {"width": 0.1}}, mobilenet(), 45, 77)
    case("cifar resnet", "ResNet20", cifar(), 21, 34)
    case("conv4", {"Conv4": {"channels": 1, "width": 8}}, chain(*hash_weights(Conv4(1, 8))), 35, 52, channels=1)
    (HERE / "stages.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
