"""Features of torch's own networks with hashed weights, on a hashed image."""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from hashing import hashed, tensors


class Conv4(nn.Sequential):
    def __init__(self, channels, width):
        def block(i):
            return nn.Sequential(nn.Conv2d(channels if i == 0 else width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))

        super().__init__(*[block(i) for i in range(4)])

    def forward(self, x):
        return super().forward(x).flatten(1)


class CifarBlock(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.added = stride, out - inp

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride == 2:
            x = x[:, :, ::2, ::2]
        half = self.added // 2
        return F.relu(y + F.pad(x, (0, 0, 0, 0, half, half)))


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2, option A."""

    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = [16, 16, 32, 64]
        for s in (1, 2, 3):
            blocks = [CifarBlock(widths[s - 1] if i == 0 else widths[s], widths[s], 2 if s > 1 and i == 0 else 1) for i in range(n)]
            setattr(self, f"layer{s}", nn.Sequential(*blocks))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.mean((2, 3))


def torchvision_net(name):
    net = getattr(torchvision.models, name)(weights=None)
    net.fc = nn.Identity()
    return net


def main():
    CASES = {
        "Conv4": (Conv4(1, 8), 1, 35),
        "ResNet20": (CifarResNet(3), 3, 32),
        "ResNet56": (CifarResNet(9), 3, 32),
        "ResNet18": (torchvision_net("resnet18"), 3, 65),
        "ResNet34": (torchvision_net("resnet34"), 3, 64),
        "ResNet50": (torchvision_net("resnet50"), 3, 64),
    }
    out = {}
    for name, (net, channels, side) in CASES.items():
        state = net.state_dict()
        shapes = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
        net.load_state_dict({k: torch.from_numpy(v) for k, v in tensors(shapes).items()}, strict=False)
        net.eval()
        x = torch.from_numpy(hashed(2 * channels * side * side, 77).astype(np.float32).reshape(2, channels, side, side))
        with torch.no_grad():
            features = net(x).numpy()
        assert np.isfinite(features).all()
        print(name, features.shape, float(np.abs(features).max()))
        out[name] = {"channels": channels, "side": side, "features": [[float(f"{v:.7g}") for v in row] for row in features]}
    path = pathlib.Path(__file__).parent / "torch_backbones.json"
    path.write_text(json.dumps(out) + "\n")


if __name__ == "__main__":
    main()
