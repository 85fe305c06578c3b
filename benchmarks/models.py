"""Makes the models that are measured: a VGG-19 with and without weights, and synthetic graphs.

``python benchmarks/models.py FOLDER NAME...`` writes them; a file that is there already is kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from wire import Attribute, Net, Tensor, node

SEED = 20
VGG19 = (
    64,
    64,
    0,
    128,
    128,
    0,
    256,
    256,
    256,
    256,
    0,
    512,
    512,
    512,
    512,
    0,
    512,
    512,
    512,
    512,
    0,
)
"""Channels of the convolutions; 0 is a max pooling."""


def vgg19(*, hidden: int = 4096, weights: bool = True) -> Net:
    """Return VGG-19 for 224×224 (Simonyan & Zisserman 2015); 143,667,240 weights, 548 MiB.

    Parameters
    ----------
    hidden
        Width of the two hidden dense layers; 12,800 makes a file of 2 GB.
    weights
        False: each weight is made by a ConstantOfShape, as in the light models of onnx.
    """
    net = _Writer(weights=weights)
    tensor, channels = "input", 3
    for width in VGG19:
        if width == 0:
            tensor = net.add("MaxPool", [tensor], kernel_shape=(2, 2), strides=(2, 2))
            continue
        names = [net.weight((width, channels, 3, 3)), net.weight((width,))]
        tensor = net.add(
            "Conv", [tensor, *names], kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(1, 1)
        )
        tensor = net.add("Relu", [tensor])
        channels = width
    tensor = net.add("Flatten", [tensor], axis=1)
    size = channels * 7 * 7
    for width in (hidden, hidden, 1000):
        names = [net.weight((width, size)), net.weight((width,))]
        tensor = net.add("Gemm", [tensor, *names], transB=1)
        if width != 1000:
            tensor = net.add("Relu", [tensor])
        size = width
    return net.done(tensor, (1, 3, 224, 224), (1, 1000))


def residual(nodes: int, *, channels: int = 8, size: int = 32) -> Net:
    """Return a residual network of about `nodes` operators on a map of `size` / 2.

    Blocks of convolution, batch normalization and ReLU with a skip; one in eight is two branches
    that are concatenated, one in eight a channel shuffle by reshapes with computed shapes, as
    PyTorch exports it.
    """
    net = _Writer(weights=True)
    tensor = net.convolution("input", 3, channels, kernel=3, stride=2)
    block = 0
    while len(net.nodes) < nodes - 3:
        build = (net.inception, net.shuffle)[block // 4 % 2] if block % 4 == 3 else net.residual
        tensor = build(tensor, channels, size // 2)
        block += 1
    tensor = net.add("GlobalAveragePool", [tensor])
    tensor = net.add("Flatten", [tensor], axis=1)
    tensor = net.add("Gemm", [tensor, net.weight((10, channels)), net.weight((10,))], transB=1)
    return net.done(tensor, (1, 3, size, size), (1, 10))


class _Writer:
    """Collects the nodes and weights of a network in order."""

    def __init__(self, *, weights: bool) -> None:
        self.with_weights = weights
        self.nodes: list[bytes] = []
        self.weights: list[Tensor] = []
        self.constants: dict[tuple[int, ...], str] = {}

    def add(self, op_type: str, inputs: list[str], **attributes: Attribute) -> str:
        """Add an operator and return its output."""
        output = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(node(op_type, inputs, [output], f"/{output}", **attributes))
        return output

    def weight(self, shape: tuple[int, ...]) -> str:
        """Add a weight, or the operator that makes one, and return its name."""
        name = f"weight_{len(self.weights)}"
        if self.with_weights:
            self.weights.append(Tensor(name, shape))
            return name
        self.weights.append(Tensor(name, (len(shape),), shape))
        return self.add("ConstantOfShape", [name])

    def integers(self, *values: int) -> str:
        """Return the name of a constant vector, stored once."""
        if values not in self.constants:
            self.constants[values] = f"integers_{len(self.constants)}"
            self.weights.append(Tensor(self.constants[values], (len(values),), values))
        return self.constants[values]

    def done(self, output: str, input_shape: tuple[int, ...], shape: tuple[int, ...]) -> Net:
        """Return the network."""
        return Net(self.nodes, self.weights, input_shape, output, shape)

    def convolution(
        self, tensor: str, channels: int, width: int, *, kernel: int = 3, stride: int = 1
    ) -> str:
        """Add a convolution that keeps the size, batch normalization and ReLU."""
        return self.add("Relu", [self.normalised(tensor, channels, width, kernel, stride)])

    def normalised(
        self, tensor: str, channels: int, width: int, kernel: int = 3, stride: int = 1
    ) -> str:
        """Add a convolution that keeps the size and batch normalization."""
        weight = self.weight((width, channels, kernel, kernel))
        tensor = self.add(
            "Conv",
            [tensor, weight],
            dilations=(1, 1),
            group=1,
            kernel_shape=(kernel, kernel),
            pads=(kernel // 2,) * 4,
            strides=(stride, stride),
        )
        statistics = [self.weight((width,)) for _ in range(4)]
        return self.add("BatchNormalization", [tensor, *statistics], epsilon=1e-5)

    def residual(self, tensor: str, channels: int, _size: int) -> str:
        """Add a basic block of ResNet: seven operators."""
        inner = self.convolution(tensor, channels, channels)
        inner = self.normalised(inner, channels, channels)
        return self.add("Relu", [self.add("Add", [inner, tensor])])

    def inception(self, tensor: str, channels: int, _size: int) -> str:
        """Add a wide and a narrow branch that are concatenated: seven operators."""
        half = channels // 2
        wide = self.convolution(tensor, channels, half, kernel=3)
        narrow = self.convolution(tensor, channels, half, kernel=1)
        return self.add("Concat", [wide, narrow], axis=1)

    def shuffle(self, tensor: str, channels: int, size: int) -> str:
        """Add a channel shuffle whose batch size is computed: eight operators."""
        shape = self.add("Shape", [tensor])
        batch = self.add("Gather", [shape, self.integers(0)], axis=0)
        rest = self.integers(2, channels // 2, size, size)
        apart = self.add("Concat", [batch, rest], axis=0)
        split = self.add("Reshape", [tensor, apart])
        turned = self.add("Transpose", [split], perm=(0, 2, 1, 3, 4))
        whole = self.add("Concat", [batch, self.integers(channels, size, size)], axis=0)
        merged = self.add("Reshape", [turned, whole])
        return self.add("Relu", [merged])


MODELS: dict[str, Callable[[], Net]] = {
    "vgg19": vgg19,
    "vgg19_without_weights": lambda: vgg19(weights=False),
    "vgg19_2gb": lambda: vgg19(hidden=12_800),
    "nodes_1e3": lambda: residual(1_000),
    "nodes_1e4": lambda: residual(10_000),
    "nodes_1e5": lambda: residual(100_000),
}


def make(folder: Path, name: str) -> Path:
    """Write a model unless it is there, and return its path."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            MODELS[name]().write(file, SEED)
        partial.replace(path)
    return path


if __name__ == "__main__":
    for wanted in sys.argv[2:]:
        print(make(Path(sys.argv[1]), wanted))
