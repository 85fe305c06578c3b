"""A model whose names try to do harm to a page that shows them."""

from __future__ import annotations

from onnx import TensorProto, helper

NAMES = (
    "<script>document.title='owned'</script>",
    "\"' onmouseover=\"document.title='owned'\" x='",
    "javascript:document.title='owned'//",
    "]]></style></script><img src=x onerror=\"document.title='owned'\">",
    "{{ 7 * 7 }}{% raw %}",
    "abc\u202egnp.exe\u2066",
    "x" * 30_000,
    "bell\x07 null\x00 escape\x1b[31m line\nnext\u2028",
    "אבג شبكة 畳み込み",
)
"""Names of operators; each means something to some part of a page."""


def hostile_model() -> bytes:
    """Return a network of even convolutions, each of which is found, with hostile names."""
    nodes, tensor = [], f"in{NAMES[0]}"
    first = tensor
    for index, name in enumerate(NAMES):
        made = f"{name}out"
        nodes.append(
            helper.make_node(
                "Conv",
                [tensor, "w"],
                [made],
                name=name,
                kernel_shape=[2, 2],
                pads=[0, 0, 1, 1] if index % 2 else [1, 1, 0, 0],
                strides=[1, 1],
            )
        )
        tensor = made
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(first, TensorProto.FLOAT, [1, 1, 12, 16])],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, [1, 1, 12, 16])],
        [helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 2, 2], [1.0] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.producer_name = NAMES[3]
    data: bytes = model.SerializeToString()
    return data
