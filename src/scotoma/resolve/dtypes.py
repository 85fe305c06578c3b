"""Element types of the outputs of operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scotoma.loader.tensors import StoredTensor
from scotoma.resolve.step import Step

BOOL, INT64, INT32, UINT8, FLOAT = (
    np.dtype(name) for name in ("bool", "int64", "int32", "uint8", "float32")
)

_BY_CODE = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128",
}  # fmt: skip
_ML_BY_CODE = {
    16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2",
    20: "float8_e5m2fnuz", 21: "uint4", 22: "int4", 23: "float4_e2m1fn",
}  # fmt: skip


def dtype_of_code(code: object) -> np.dtype | None:
    """Return the numpy type for a number of ``TensorProto.DataType``; None if there is none."""
    if not isinstance(code, int):
        return None
    if code in _BY_CODE:
        return np.dtype(_BY_CODE[code])
    if code not in _ML_BY_CODE:
        return None
    try:
        import ml_dtypes  # noqa: PLC0415  rarely needed

        found: np.dtype = np.dtype(getattr(ml_dtypes, _ML_BY_CODE[code]))
    except (ImportError, AttributeError):
        return None
    return found


Rule = int | np.dtype | Callable[[Step], "np.dtype | None"]
"""The input whose type an output shares, the type itself, or a function of the operator."""


def _cast(step: Step) -> np.dtype | None:
    return dtype_of_code(step.attributes.get("to"))


def _attribute_or_first(step: Step) -> np.dtype | None:
    code = step.attributes.get("dtype")
    return step.dtype(0) if code is None else dtype_of_code(code)


def _attribute_or_float(step: Step) -> np.dtype | None:
    return dtype_of_code(step.attributes.get("dtype", 1))


def _attribute_or_int32(step: Step) -> np.dtype | None:
    return dtype_of_code(step.attributes.get("dtype", 6))


def _fill(step: Step) -> np.dtype | None:
    value = step.attributes.get("value")
    if value is None:
        return FLOAT
    return value.dtype if isinstance(value, StoredTensor) else None


def _quantised(step: Step) -> np.dtype | None:
    code = step.attributes.get("output_dtype", 0)
    if step.has(2):
        return step.dtype(2)
    return dtype_of_code(code) if code else UINT8


def _mask(step: Step) -> np.dtype | None:
    return BOOL if step.version >= 10 else step.dtype(0)


_COMPARE = "Equal Less Greater LessOrEqual GreaterOrEqual And Or Xor Not IsNaN IsInf"
_INDEX = "Shape Size ArgMax ArgMin NonZero NonMaxSuppression"

RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(_COMPARE.split(), (BOOL,)),
    **dict.fromkeys(_INDEX.split(), (INT64,)),
    "Cast": (_cast,),
    "CastLike": (1,),
    "Where": (1,),
    "OneHot": (2,),
    "MaxPool": (0, INT64),
    "TopK": (0, INT64),
    "Dropout": (0, _mask),
    "LayerNormalization": (0, FLOAT, FLOAT),
    "ConstantOfShape": (_fill,),
    "EyeLike": (_attribute_or_first,),
    "Bernoulli": (_attribute_or_first,),
    "RandomNormalLike": (_attribute_or_first,),
    "RandomUniformLike": (_attribute_or_first,),
    "RandomNormal": (_attribute_or_float,),
    "RandomUniform": (_attribute_or_float,),
    "Multinomial": (_attribute_or_int32,),
    "QuantizeLinear": (_quantised,),
    "DequantizeLinear": (1,),
    "DynamicQuantizeLinear": (UINT8, FLOAT, UINT8),
    "QLinearConv": (7,),
    "QLinearMatMul": (7,),
    "QLinearConcat": (2,),
    "QLinearWhere": (1,),
    "ConvInteger": (INT32,),
    "MatMulInteger": (INT32,),
    "MatMulIntegerToFloat": (2,),
    "DynamicQuantizeMatMul": (FLOAT,),
    "QAttention": (2,),
    "AffineGrid": (0,),
    "QGemm": (8,),
}


def set_dtypes(step: Step) -> None:
    """Note the element types of the operator's outputs, as far as they are known."""
    known = step.state.dtypes
    rules = RULES.get(step.op.op_type)
    if rules is None:
        inputs = step.inputs
        dtype = known.get(inputs[0]) if inputs else None
        if dtype is not None:
            for name in step.op.outputs:
                known[name] = dtype
        return
    for name, rule in zip(step.op.outputs, rules, strict=False):
        if isinstance(rule, int):
            dtype = step.dtype(rule)
        else:
            dtype = rule if isinstance(rule, np.dtype) else rule(step)
        if dtype is not None:
            known[name] = dtype
