"""Checkpoints of SimCLR as TensorFlow's saver writes them, around a small ResNet, and the features of TensorFlow's own convolutions.

The network is that of SimCLR's code: strided convolutions padded by hand, a max pool with `SAME`, the projection of a block made
before its other layers, which gives the numbers in the names.
"""

import json
import pathlib

import numpy as np
import tensorflow.compat.v1 as tf

from hashing import hashed

tf.disable_v2_behavior()
OUT = pathlib.Path(__file__).parent / "fourteen"
DEPTHS, WIDTH, SIDE = [1, 2, 1, 1], 2, 64


class Layers:
    """Variables under the names that `tf.layers` gives, counted by scope."""

    def __init__(self, stream):
        self.convs = self.norms = 0
        self.stream = stream

    def values(self, shape, base, scale):
        self.stream += 1
        return (base + scale * hashed(int(np.prod(shape)), self.stream)).astype(np.float32).reshape(shape)

    def variable(self, name, value):
        variable = tf.get_variable(name, initializer=value)
        # What LARS with momentum keeps beside it.
        tf.get_variable(f"{name}/Momentum", initializer=np.zeros_like(value))
        return variable

    def conv(self, x, filters, kernel, stride):
        name = "conv2d" + (f"_{self.convs}" if self.convs else "")
        self.convs += 1
        shape = (kernel, kernel, int(x.shape[-1]), filters)
        weight = self.variable(f"{name}/kernel", self.values(shape, 0.0, (6.0 / (kernel * kernel * shape[2])) ** 0.5))
        if stride > 1:
            before = (kernel - 1) // 2
            after = kernel - 1 - before
            x = tf.pad(x, [[0, 0], [before, after], [before, after], [0, 0]])
        return tf.nn.conv2d(x, weight, strides=stride, padding="SAME" if stride == 1 else "VALID")

    def norm(self, x, relu=True):
        name = "batch_normalization" + (f"_{self.norms}" if self.norms else "")
        self.norms += 1
        size = (int(x.shape[-1]),)
        gamma = self.variable(f"{name}/gamma", self.values(size, 1.0, 0.1))
        beta = self.variable(f"{name}/beta", self.values(size, 0.0, 0.1))
        mean = tf.get_variable(f"{name}/moving_mean", initializer=self.values(size, 0.0, 0.1))
        variance = tf.get_variable(f"{name}/moving_variance", initializer=self.values(size, 1.0, 0.3))
        x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)
        return tf.nn.relu(x) if relu else x


def network(x, stream):
    layers = Layers(stream)
    with tf.variable_scope("base_model"):
        x = layers.norm(layers.conv(x, WIDTH, 7, 2))
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for stage, depth in enumerate(DEPTHS):
            width = WIDTH << stage
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                shortcut = layers.norm(layers.conv(x, 4 * width, 1, stride), relu=False) if i == 0 else x
                y = layers.norm(layers.conv(x, width, 1, 1))
                y = layers.norm(layers.conv(y, width, 3, stride))
                y = layers.norm(layers.conv(y, 4 * width, 1, 1), relu=False)
                x = tf.nn.relu(y + shortcut)
        return tf.reduce_mean(x, [1, 2])


def heads(names):
    for name, shape in names.items():
        tf.get_variable(name, initializer=np.ones(shape, np.float32))
    tf.get_variable("global_step", initializer=np.int64(225206))


def main():
    OUT.mkdir(exist_ok=True)
    x = hashed(2 * 3 * SIDE * SIDE, 77).astype(np.float32).reshape(2, 3, SIDE, SIDE)
    v1 = {"head_contrastive/nl_0/dense/kernel": (64, 8), "head_contrastive/nl_0/batch_normalization/gamma": (8,)}
    v2 = {**v1, "head_supervised/linear_layer/dense/kernel": (64, 5), "head_supervised/linear_layer/dense/bias": (5,)}
    features = {}
    for name, stream, extra in [("simclr-v1", 20000, v1), ("simclr-v2", 21000, v2)]:
        tf.reset_default_graph()
        y = network(tf.constant(x.transpose(0, 2, 3, 1)), stream)
        heads(extra)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run(y)
            folder = OUT / name
            folder.mkdir(exist_ok=True)
            tf.train.Saver().save(session, str(folder / "model.ckpt-225206"), write_meta_graph=False)
            (folder / "checkpoint").unlink()  # names the folder that it was written in
        print(name, values.shape, float(np.abs(values).max()), [(f.name, f.stat().st_size) for f in folder.iterdir()])
        features[name] = {"file": name, "side": SIDE, "features": [[float(f"{v:.7g}") for v in row] for row in values]}
    (OUT / "tensorflow.json").write_text(json.dumps(features) + "\n")


if __name__ == "__main__":
    main()
