"""Fifty steps of training by torch: a small ResNet of torchvision and a small ViT of timm, by SGD with Nesterov momentum, Adam and
AdamW, with frozen stages, groups of rates, clipped gradients and a schedule with warm-up.

Weights, batches and labels come from `hashing`, so that they are the same on both sides. Run with torch and timm;
writes training.json beside this file: for each case the losses, and some numbers of each trained tensor.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from hashing import hashed, tensors
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F
from torch_backbones import CifarResNet

STEPS, BATCH, SIDE, CLASSES = 50, 12, 16, 5
torch.set_num_threads(1)


def resnet():
    return CifarResNet(3), 64


def vit():
    net = VisionTransformer(img_size=SIDE, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0)
    return net, 24


def linear(features):
    head = torch.nn.Linear(features, CLASSES)
    with torch.no_grad():
        bound = 1 / math.sqrt(features)
        head.weight.copy_(torch.tensor(bound * hashed(CLASSES * features, 501)).reshape(CLASSES, features))
        head.bias.copy_(torch.tensor(bound * hashed(CLASSES, 502)))
    return head


def load(net):
    state = net.state_dict()
    shapes = {name: list(value.shape) for name, value in state.items() if value.dim() > 0}
    made = {name: torch.tensor(value) for name, value in tensors(shapes).items()}
    missing = net.load_state_dict(made, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)


def batch(step, multi_label):
    images = hashed(BATCH * 3 * SIDE * SIDE, 2000 + step).reshape(BATCH, 3, SIDE, SIDE)
    numbers = hashed(BATCH * CLASSES, 4000 + step).reshape(BATCH, CLASSES)
    shown = torch.tensor(numbers > 0.3) if multi_label else torch.tensor(numbers.argmax(1))
    return torch.tensor(images), shown


def cosine(step, warmup=0):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (STEPS - warmup)))


def train(build, make_groups, make_optimizer, warmup=0, clip=None, multi_label=False, eval_of=(), dtype=torch.float64):
    net, features = build()
    load(net)
    head = linear(features)
    net, head = net.to(dtype), head.to(dtype)
    parameters = [("head." + n, p) for n, p in head.named_parameters()] + list(net.named_parameters())
    groups = make_groups(parameters)
    for _, p in parameters:
        p.requires_grad_(False)
    for group in groups:
        for p in group["params"]:
            p.requires_grad_(True)
    optimizer = make_optimizer(groups)
    rates = [g["lr"] for g in optimizer.param_groups]
    net.train()
    for part in eval_of:
        net.get_submodule(part).eval()
    losses = []
    for step in range(STEPS):
        images, shown = batch(step, multi_label)
        images = images.to(dtype)
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * cosine(step, warmup)
        output = head(net(images))
        loss = F.binary_cross_entropy_with_logits(output, shown.to(dtype)) if multi_label else F.cross_entropy(output, shown)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], clip)
        optimizer.step()
        losses.append(loss.item())
    end = {("head.0." + n): v for n, v in head.state_dict().items()} | dict(net.state_dict())
    some = {}
    for name, value in sorted(end.items()):
        if value.dim() == 0:
            continue
        value = value.double().flatten().numpy()
        # Eight numbers spread over the tensor, and its scale.
        at = np.linspace(0, len(value) - 1, min(8, len(value))).astype(int)
        some[name] = [float(np.abs(value).max())] + [float(value[i]) for i in at]
    return {"losses": losses, "tensors": some}


def all_of(lr, decay):
    return lambda parameters: [{"params": [p for _, p in parameters], "lr": lr, "weight_decay": decay}]


def last_stage(lr, decay):
    keep = lambda name: name.startswith(("head.", "layer3."))
    return lambda parameters: [{"params": [p for n, p in parameters if keep(n)], "lr": lr, "weight_decay": decay}]


def layered(lr, decay, factor, depth):
    """Layer-wise rates; no decay of vectors, tokens and positions."""

    def before(name):
        if name.startswith("head."):
            return 0
        if name.startswith("blocks."):
            return depth - int(name.split(".")[1])
        return 1 if name.startswith("norm.") else depth + 1

    def groups(parameters):
        out = []
        for name, p in parameters:
            plain = p.dim() > 1 and name not in ("cls_token", "pos_embed")
            out.append({"params": [p], "lr": lr * factor ** before(name), "weight_decay": decay if plain else 0.0})
        return out

    return groups


def sgd(groups):
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True)


CASES = {
    "resnet sgd": dict(build=resnet, make_groups=all_of(0.002, 1e-3), make_optimizer=sgd),
    "resnet adam multi-label": dict(
        build=resnet, make_groups=all_of(2e-4, 1e-2), make_optimizer=torch.optim.Adam, multi_label=True
    ),
    "resnet last stage": dict(
        build=resnet, make_groups=last_stage(0.005, 1e-3), make_optimizer=sgd, eval_of=["bn1", "layer1", "layer2"]
    ),
    "vit adamw": dict(
        build=vit, make_groups=layered(1e-3, 0.05, 0.75, 2), make_optimizer=torch.optim.AdamW, warmup=5, clip=1.0
    ),
    "vit sgd": dict(build=vit, make_groups=all_of(0.01, 0.0), make_optimizer=lambda g: torch.optim.SGD(g, momentum=0.9)),
}


def case(spec):
    """The run in double precision, and how far torch's own run in single precision is from it: rectifiers at zero make of
    rounding differences that grow from step to step."""
    double, single = train(**spec), train(**spec, dtype=torch.float32)
    losses = max(abs(a / b - 1) for a, b in zip(single["losses"], double["losses"]))
    off = lambda name: max(abs(a - b) for a, b in zip(single["tensors"][name][1:], double["tensors"][name][1:]))
    weights = max(off(name) / double["tensors"][name][0] for name in double["tensors"] if not name.endswith("qkv.bias"))
    return double | {"single": [losses, weights]}


if __name__ == "__main__":
    out = {name: case(spec) for name, spec in CASES.items()}
    round_to = lambda v: [round_to(x) for x in v] if isinstance(v, list) else float(f"{v:.9g}")
    out = {n: {"losses": round_to(c["losses"]), "single": c["single"], "tensors": {k: round_to(v) for k, v in c["tensors"].items()}} for n, c in out.items()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
    for name, found in out.items():
        print(name, found["losses"][0], found["losses"][-1], found["single"])
