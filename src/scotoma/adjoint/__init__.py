"""Gradients as ONNX graphs: a model split into its forward and its adjoint."""

from __future__ import annotations

from scotoma.adjoint.result import Adjoint, Missing
from scotoma.adjoint.run import Runner, Tape
from scotoma.adjoint.split import build, reached

__all__ = ["Adjoint", "Missing", "Runner", "Tape", "build", "reached"]
