"""A checkpoint of BYOL as its authors' code writes it, around a small ResNet of Haiku, and the features of Haiku.

The authors pickle a dict with a named tuple of their own in it, by dill, protocol 2; its module is made here under its name.
A second file has jax's arrays in it, and Haiku's immutable mappings.
"""

import json
import pathlib
import pickle
import sys
import types
from typing import Any, NamedTuple

import dill
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from hashing import hashed

OUT = pathlib.Path(__file__).parent / "fourteen"
SIDE = 64


def module(name):
    made = types.ModuleType(name)
    sys.modules[name] = made
    return made


for package in ("byol", "byol.utils"):
    module(package)


class _ByolExperimentState(NamedTuple):
    online_params: Any
    target_params: Any
    online_state: Any
    target_state: Any
    opt_state: Any


class ScaleByLarsState(NamedTuple):
    mu: Any


for cls, name in [(_ByolExperimentState, "byol.byol_experiment"), (ScaleByLarsState, "byol.utils.optimizers")]:
    cls.__module__ = name
    setattr(module(name), cls.__name__, cls)


def forward(x, is_training):
    net = hk.nets.ResNet(
        blocks_per_group=(1, 2, 1, 1),
        num_classes=5,
        bn_config={"decay_rate": 0.9, "eps": 1e-5, "create_scale": True, "create_offset": True},
        resnet_v2=False,
        bottleneck=True,
        channels_per_group=(8, 16, 32, 64),
        use_projection=(True, True, True, True),
        initial_conv_config={"output_channels": 2, "kernel_shape": 7, "stride": 2, "with_bias": False, "padding": "SAME"},
        name="res_net50",
    )
    # The features are what the last layer gets.
    kept = []

    def keep(next_call, args, kwargs, context):
        if context.module.name == "logits":
            kept.append(args[0])
        return next_call(*args, **kwargs)

    with hk.intercept_methods(keep):
        net(x, is_training=is_training)
    return kept[0]


def main():
    OUT.mkdir(exist_ok=True)
    x = hashed(2 * 3 * SIDE * SIDE, 77).astype(np.float32).reshape(2, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    net = hk.transform_with_state(forward)
    params, state = net.init(jax.random.PRNGKey(0), x, True)
    stream = 30000

    def fill(path, value):
        nonlocal stream
        stream += 1
        names = [p.key for p in path]
        v = hashed(value.size, stream).reshape(value.shape)
        if names[-1] == "counter":
            return np.asarray(7, np.int32)
        if "var_ema" in names[0]:
            v = 1.0 + 0.3 * v
        elif names[-1] == "scale":
            v = 1.0 + 0.1 * v
        elif names[-1] == "w" and v.ndim == 4:
            v = v * (6.0 / np.prod(v.shape[:3])) ** 0.5
        else:
            v = 0.1 * v
        return v.astype(np.float32)

    params = jax.tree_util.tree_map_with_path(fill, params)
    state = jax.tree_util.tree_map_with_path(fill, state)
    y = np.asarray(net.apply(params, state, None, x, False)[0])
    print("byol", y.shape, float(np.abs(y).max()))
    heads = {"projector/~/linear": {"w": np.ones((64, 8), np.float32)}, "predictor/~/linear": {"w": np.ones((8, 8), np.float32)}}
    params = {**params, **heads}
    target = jax.tree_util.tree_map(lambda v: v * 2, params)
    whole = lambda wrap: {
        "experiment_state": _ByolExperimentState(wrap(params), wrap(target), wrap(state), wrap(state), ScaleByLarsState(wrap(heads))),
        "step": 300000,
        "rng": np.asarray([0, 7], np.uint32),
    }
    with open(OUT / "byol.pkl", "wb") as file:
        dill.dump(whole(lambda tree: tree), file, protocol=2)
    jaxed = lambda tree: hk.data_structures.to_immutable_dict(jax.tree_util.tree_map(jnp.asarray, tree))
    with open(OUT / "byol-jax.pkl", "wb") as file:
        pickle.dump(whole(jaxed), file, protocol=4)
    print([(f.name, f.stat().st_size) for f in OUT.glob("byol*")])
    features = [[float(f"{v:.7g}") for v in row] for row in y]
    cases = {name: {"file": file, "side": SIDE, "features": features} for name, file in [("byol", "byol.pkl"), ("byol of jax", "byol-jax.pkl")]}
    (OUT / "haiku.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
