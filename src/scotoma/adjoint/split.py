"""From a resolved model to its adjoint: one sweep from the targets back to what is asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scotoma.adjoint import registry
from scotoma.adjoint.builder import GraphBuilder
from scotoma.adjoint.clone import Cloner
from scotoma.adjoint.forward import Forward, all_captured, stored_tensors
from scotoma.adjoint.packing import packed_tensors
from scotoma.adjoint.protos import value_info
from scotoma.adjoint.registry import NoAdjointError
from scotoma.adjoint.result import Adjoint, Missing
from scotoma.adjoint.site import Site, work_type
from scotoma.adjoint.weights import Weights
from scotoma.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import onnx

    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import Resolution

MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What rules raise for inputs and attributes that make no sense."""


def build(
    resolution: Resolution, targets: Sequence[str], wanted: Sequence[str], *, apart: bool = False
) -> Adjoint:
    """Split a model into its forward and its adjoint.

    Nothing is run, and no large weight is read.

    Parameters
    ----------
    resolution
        The model at the input shapes that it is to run at.
    targets
        Tensors of the main graph that cotangents are given of.
    wanted
        Tensors whose gradients are asked for: inputs of the graph, or inner tensors.
    apart
        The wanted tensors count as independent of each other: the gradient of one does not hold
        what it does to the target by way of another.

    Returns
    -------
    Adjoint
        Both models. Where an operator without a rule stands in the way of a gradient, that
        gradient is left out and the operator is named; all others are there.

    Raises
    ------
    UsageError
        If there is no tensor of that name.
    MeasurementError
        If a target is of unknown type or shape, or the model cannot be written as one graph.
    WeightsUnavailableError
        If a small constant of the file cannot be read.
    """
    split = _Split(resolution, frozenset(wanted) if apart else frozenset())
    known = {value.name for value in resolution.model.main.inputs}
    known.update(name for operator in resolution.operators for name in operator.outputs)
    for name in (*targets, *wanted):
        if name not in known or not name:
            raise UsageError(f"the model has no tensor '{name}'")
    split.sweep(tuple(dict.fromkeys(targets)), tuple(dict.fromkeys(wanted)))
    return split.result()


def reached(resolution: Resolution, wanted: Iterable[str]) -> set[str]:
    """Return all tensors that some of these have an effect on that gradients can carry."""
    live = set(wanted)
    captured = all_captured(resolution)
    for operator in resolution.operators:
        if registry.is_stop(operator.domain, operator.op_type):
            continue
        if not live.isdisjoint((*operator.inputs, *captured.get(operator, ()))):
            live.update(name for name in operator.outputs if name)
    return live


class _Split:
    """The state of one sweep."""

    def __init__(self, resolution: Resolution, ends: frozenset[str]) -> None:
        self.resolution = resolution
        self.ends = ends
        """Tensors that no gradient goes back beyond."""
        self.stored = stored_tensors(resolution)
        self.captured = all_captured(resolution)
        self.weights = Weights()
        self.forward = Forward(resolution, self.stored, self.weights)
        names = set(self.stored)
        names.update(value.name for value in resolution.model.main.inputs)
        names.update(name for operator in resolution.operators for name in operator.outputs)
        self.builder = GraphBuilder(names, self.weights)
        self.cloner = Cloner(resolution, self.stored, self.builder)
        self.targets: tuple[str, ...] = ()
        self.wanted: tuple[str, ...] = ()
        self.cotangents: dict[str, str] = {}
        self.contributions: dict[str, list[str]] = {}
        self.blocked: dict[str, dict[Missing, None]] = {}
        """Operators that hide a part of a tensor's gradient."""
        self.missing: list[Missing] = []
        self.extras: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
        self.packed = packed_tensors(resolution)
        self.unpacked: dict[str, str] = {}

    # What rules read: the protocol `scotoma.adjoint.site.Values`.

    def value(self, name: str) -> str:
        """Return a constant, or else declare a residual."""
        if not name:
            raise NoAdjointError("its inputs or attributes make no sense: one is missing")
        constant = self.cloner.constant(name)
        if constant is not None:
            return constant
        dtype, shape = self.resolution.dtypes.get(name), self.resolution.shapes.get(name)
        if dtype is None or shape is None:
            raise NoAdjointError(f"type or shape of {name!r} is not known")
        if name in self.packed:
            return self.plain(name, dtype, shape)
        return self.builder.input(name, dtype, shape)

    def plain(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
        """Declare a packed tensor as a residual in plain order."""
        if name not in self.unpacked:
            self.unpacked[name] = self.builder.name(f"{name}/plain")
            self.forward.unpack(name, shape[1], self.unpacked[name])
            self.extras[self.unpacked[name]] = dtype, shape
        return self.builder.input(self.unpacked[name], dtype, shape)

    def extra(
        self, operator: Operator, slot: int, dtype: np.dtype[Any], shape: tuple[int, ...]
    ) -> str:
        """Make an operator produce one more output and declare it a residual."""
        name = self.forward.expose(operator, slot, self.builder.name(f"{operator.name}/{slot}"))
        self.extras[name] = (dtype, shape)
        return self.builder.input(name, dtype, shape)

    # The sweep.

    def sweep(self, targets: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        """Emit the gradients of all tensors between the wanted ones and the targets."""
        self.targets, self.wanted = targets, wanted
        live = reached(self.resolution, wanted)
        for target in targets:
            if target in live and target in self.packed:
                missing = self.unordered(target)
                self.missing.append(missing)
                self.blocked[target] = {missing: None}
            elif target in live:
                dtype, shape = self.resolution.dtypes.get(target), self.shape(target)
                name = self.builder.name(f"cotangent/{target}")
                self.cotangents[target] = self.builder.input(name, work_type(dtype), shape)
                self.contributions[target] = [name]
        for operator in reversed(self.resolution.operators):
            if any(name in live for name in operator.outputs):
                self.step(operator, live)
        self.missing.reverse()

    def unordered(self, target: str) -> Missing:
        """Name the operator that makes a packed target."""
        (made,) = (operator for operator in self.resolution.operators if target in operator.outputs)
        domain = f"{made.domain}." if made.domain else ""
        reason = "what it makes is packed in blocks of channels"
        return Missing(made.name, domain + made.op_type, reason)

    def step(self, operator: Operator, live: set[str]) -> None:
        """Turn the gradients of an operator's outputs into those of its inputs."""
        if registry.is_stop(operator.domain, operator.op_type):
            return
        if not self.ends.isdisjoint(operator.outputs):
            return
        grads = [self.total(name) for name in operator.outputs]
        blocks: dict[Missing, None] = {}
        for name in operator.outputs:
            blocks.update(self.blocked.get(name, {}))
        wanted = [name in live for name in operator.inputs]
        sources = {name for name in operator.inputs if name in live}
        sources.update(name for name in self.captured.get(operator, ()) if name in live)
        if not sources or (not blocks and all(grad is None for grad in grads)):
            return
        if any(grad is not None for grad in grads):
            missing = self.apply(operator, grads, wanted)
            if missing is not None:
                self.missing.append(missing)
                blocks[missing] = None
        if blocks:
            for name in sources:
                self.blocked.setdefault(name, {}).update(blocks)

    def apply(
        self, operator: Operator, grads: Sequence[str | None], wanted: Sequence[bool]
    ) -> Missing | None:
        """Run the operator's rule; return why there is none."""
        domain = f"{operator.domain}." if operator.domain else ""
        op_type = domain + operator.op_type
        rule = registry.find(operator.domain, operator.op_type)
        if rule is None:
            return Missing(operator.name, op_type, "there is no adjoint rule for it")
        context = (self.resolution, self.builder, self)
        site = Site(operator, grads, wanted, context)
        try:
            found = rule(site)
        except NoAdjointError as error:
            return Missing(operator.name, op_type, str(error))
        except MALFORMED as error:
            reason = f"its inputs or attributes make no sense: {error}"
            return Missing(operator.name, op_type, reason)
        if site.unread:
            return Missing(operator.name, op_type, "a side output of it is followed")
        for name, is_wanted, grad in zip(operator.inputs, wanted, found, strict=False):
            if is_wanted and grad is not None:
                self.contributions.setdefault(name, []).append(grad)
        return None

    def total(self, name: str) -> str | None:
        """Return the gradient of a tensor, summed over all that read it; None: there is none."""
        parts = self.contributions.get(name)
        if not parts:
            return None
        if len(parts) > 1:
            op_type = "Add" if len(parts) == 2 else "Sum"
            parts[:] = self.builder.emit(op_type, parts)
        return parts[0]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor that must have one."""
        shape = self.resolution.shapes.get(name)
        if shape is None:
            raise MeasurementError(f"the shape of '{name}' is not known")
        return shape

    # The result.

    def result(self) -> Adjoint:
        """Write both models."""
        gradients: dict[str, str] = {}
        zero: dict[str, tuple[int, ...]] = {}
        incomplete: dict[str, tuple[Missing, ...]] = {}
        for name in self.wanted:
            total = self.total(name)
            if name in self.blocked:
                incomplete[name] = tuple(self.blocked[name])
            elif total is None:
                zero[name] = self.shape(name)
            else:
                (gradients[name],) = self.builder.emit(
                    "Identity", [total], outputs=[self.builder.name(f"gradient/{name}")]
                )
        backward: bytes | None = None
        needed: tuple[str, ...] = ()
        if gradients:
            outputs = [
                value_info(output, work_type(self.resolution.dtypes.get(name)), self.shape(name))
                for name, output in gradients.items()
            ]
            backward, needed = self.builder.model("backward", outputs)
        cotangents = {name: fed for name, fed in self.cotangents.items() if fed in needed}
        fed = set(cotangents.values())
        residuals = tuple(name for name in needed if name not in fed)
        inputs = {value.name for value in self.resolution.model.main.inputs}
        outputs = [
            self.declared(name)
            for name in dict.fromkeys((*self.targets, *residuals))
            if name not in inputs
        ]
        forward = self.forward.model(outputs)
        return Adjoint(
            forward=forward,
            backward=backward,
            targets=self.targets,
            residuals=residuals,
            cotangents=cotangents,
            gradients=gradients,
            zero=zero,
            incomplete=incomplete,
            missing=tuple(self.missing),
            weights=self.weights,
            residual_bytes=sum(self.nbytes(name) for name in residuals),
        )

    def declared(self, name: str) -> onnx.ValueInfoProto:
        """Declare an output of the forward."""
        if name in self.extras:
            return value_info(name, *self.extras[name])
        dtypes = self.resolution.dtypes
        return value_info(name, dtypes.get(name), self.resolution.shapes.get(name))

    def nbytes(self, name: str) -> int:
        """Return how much memory a residual takes."""
        dtype, shape = self.extras.get(name) or (
            self.resolution.dtypes[name],
            self.shape(name),
        )
        return dtype.itemsize * math.prod(shape)
