"""Runs the file as it is: no operator frozen, no optimisation that hides what the file says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.errors import MeasurementError, UsageError
from scotoma.facts import Facts
from scotoma.measure.inputs import baselines
from scotoma.measure.options import MeasureOptions
from scotoma.measure.session import Session
from scotoma.measure.target import Target, reachable

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.audit.budget import Budget

    Array = npt.NDArray[Any]
    Answer = Mapping[str, Array]
    Feed = Mapping[str, Array]

LEAST_INPUTS = 3
"""So many random inputs at least are looked at."""
ABOUT_INPUTS = ("inputs", "mean", "std", "value_range", "fit", "bgr", "fixed")
"""Options of a measurement that may not fit a model."""


class Bench:
    """A model in one session of onnxruntime, with some of its inner tensors among its outputs.

    Parameters
    ----------
    facts
        The model at the shapes that it is to run at.
    options
        The inputs; ``data`` is the file where it is not to be opened by its path.
    budget
        Asked before every pass.
    wanted
        Inner tensors that are looked at, as far as onnxruntime can be asked for them.
    """

    def __init__(
        self, facts: Facts, options: MeasureOptions, budget: Budget, wanted: Collection[str] = ()
    ) -> None:
        self.facts = facts
        self.budget = budget
        self.passes = 0
        self.seconds = 0.0
        """Of the latest pass."""
        self._options = options
        known = reachable(facts)
        declared = [value.name for value in facts.model.main.outputs]
        self.outputs = tuple(n for n in dict.fromkeys(declared) if n in known and self._numeric(n))
        inner = {name for name in wanted if name in known and self._numeric(name)}
        self._inner = tuple(sorted(inner - set(self.outputs)))

    def _numeric(self, name: str) -> bool:
        dtype = self.facts.resolution.dtypes.get(name)
        return dtype is None or dtype.kind in "fiub"

    @cached_property
    def _session(self) -> Session:
        self.budget.require()
        if not self.outputs:
            raise NotMeasuredError("no output of the model holds numbers")
        try:
            return self._made(self._inner)
        except MeasurementError:
            if not self._inner:
                raise
            self._inner = ()
            return self._made(())

    def _made(self, inner: tuple[str, ...]) -> Session:
        target = Target((*self.outputs, *inner), frozenset(inner), "")
        return Session(self.facts.resolution, target, self._options.data)

    @cached_property
    def feeds(self) -> tuple[Feed, ...]:
        """The inputs that were asked for; of random ones `LEAST_INPUTS` at least.

        Raises
        ------
        MeasurementError
            If onnxruntime refuses the model, or an input cannot be made.
        """
        try:
            return self._feeds(self._options)
        except UsageError as error:
            raise MeasurementError(str(error)) from error

    def _feeds(self, options: MeasureOptions) -> tuple[Feed, ...]:
        asked = replace(options, random_inputs=max(LEAST_INPUTS, options.random_inputs))
        made = baselines(self.facts, self._session.dtypes(), asked)
        return tuple(item.feed for item in made)

    @property
    def misfit(self) -> str:
        """What is wrong with the inputs that the caller asked for; empty if nothing is.

        A model that no input at all could be made for is not the caller's mistake.
        """
        chosen = {name: getattr(self._options, name) for name in ABOUT_INPUTS}
        usual = {name: getattr(MeasureOptions(), name) for name in ABOUT_INPUTS}
        if chosen == usual:
            return ""
        try:
            _ = self.feeds
        except (MeasurementError, NotMeasuredError) as error:
            wrong = str(error) if isinstance(error.__cause__, UsageError) else ""
        else:
            return ""
        try:
            self._feeds(replace(self._options, **usual))
        except (MeasurementError, NotMeasuredError, UsageError):
            return ""
        return wrong

    @property
    def image(self) -> str:
        """The name of the examined input.

        Raises
        ------
        NotMeasuredError
            If there is none.
        """
        examined = self.facts.resolution.examined
        if examined is None or not examined.spatial_axes:
            raise NotMeasuredError("the model has no image to feed")
        return examined.name

    def run(self, feed: Feed) -> Answer:
        """Return outputs and inner tensors for an input, by name.

        Raises
        ------
        MeasurementError
            If onnxruntime refuses the model or fails on it.
        BudgetSpentError
            If there is no time left for another pass.
        """
        session = self._session
        self.budget.require(self.seconds)
        start = self.budget.clock()
        found = session.run(feed)
        self.seconds = self.budget.clock() - start
        self.passes += 1
        return dict(zip((*self.outputs, *self._inner), found, strict=True))

    @cached_property
    def failure(self) -> MeasurementError | None:
        """Why the model does not run, a `RefusedError` where onnxruntime says so; None: it runs.

        Raises
        ------
        BudgetSpentError
            If there is no time left to try.
        """
        try:
            self.run(self.feeds[0])
        except MeasurementError as error:
            return error
        return None

    @property
    def refusal(self) -> str | None:
        """What `failure` says."""
        return None if self.failure is None else str(self.failure)

    def has(self, tensor: str) -> bool:
        """Tell whether a tensor is among what `run` returns."""
        _ = self._session
        return tensor in self.outputs or tensor in self._inner

    def with_image(self, feed: Feed, image: Array) -> Feed:
        """Return an input with another image."""
        return {**feed, self.image: np.ascontiguousarray(image)}

    def switched(self, feed: Feed) -> tuple[Feed, ...]:
        """Return an input, and where it has flags beside the image the same with all of them on."""
        flags = [n for n, value in feed.items() if value.dtype == np.bool_ and n != self.image]
        if not flags:
            return (feed,)
        return feed, {**feed, **{name: np.ones_like(feed[name]) for name in flags}}

    def at(self, facts: Facts) -> Bench:
        """Return the same model at other shapes, on the same budget."""
        return Bench(facts, self._options, self.budget)


def same(one: Array, other: Array) -> bool:
    """Tell whether two arrays are the same bit for bit, but for the payload of a NaN."""
    return one.shape == other.shape and bool(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    )


def differing(one: Answer, other: Answer, names: Collection[str]) -> tuple[str, ...]:
    """Return the tensors that two answers do not have in common."""
    return tuple(name for name in names if not same(one[name], other[name]))
