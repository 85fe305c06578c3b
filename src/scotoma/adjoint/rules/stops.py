"""Operators that stop gradients by nature: their output is piecewise constant."""

from __future__ import annotations

from scotoma.adjoint.registry import stops

stops(
    "And", "ArgMax", "ArgMin", "Bernoulli", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot",
    "BitwiseOr", "BitwiseXor", "Ceil", "ConstantOfShape", "Equal", "EyeLike", "Floor", "Greater",
    "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "Multinomial",
    "NonMaxSuppression", "NonZero", "Not", "OneHot", "Or", "RandomNormal", "RandomNormalLike",
    "RandomUniform", "RandomUniformLike", "Range", "Round", "Shape", "Sign", "Size",
    "StringNormalizer", "Unique", "Xor",
)  # fmt: skip
