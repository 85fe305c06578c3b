"""What checks may ask of one model: its facts, runs of the file, and the map of influence."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from scotoma.audit.errors import BudgetSpentError, NotMeasuredError, NotRunError
from scotoma.errors import MeasurementError, RefusedError, UsageError
from scotoma.measure import measure
from scotoma.measure.summary import summarise

if TYPE_CHECKING:
    from scotoma.audit.bench import Bench
    from scotoma.audit.budget import Budget
    from scotoma.facts import Facts
    from scotoma.findings import Finding
    from scotoma.measure import Influence
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.summary import Summary
    from scotoma.metrics import Figure

CONFIRMATION = 3.0
"""Seconds in which perturbation confirms a map from gradients, at most."""
LEAST_SECONDS = 0.05
"""A map is not begun with less time than this."""
FIGURES_SECONDS = 4e-6
"""For each pixel of a map its figures take about so long once it is there, which is kept free."""
FIGURES_SHARE = 0.25
"""Of the time for a map, at most."""
MORE_INPUTS = 4
"""So many times the random inputs are fed where an error leaves a limit open."""
MOST_INPUTS = 64
LEAST_PASSES = 50
"""Nor with less than so many passes take: a measurement tries out before it looks at the clock what
it may rely on."""


class Exam:
    """One model, put to the test.

    Parameters
    ----------
    facts
        What the graph says.
    bench
        Runs the file.
    options
        How the map is measured; its budget is what is left.
    budget
        Until when everything must be there.
    debug
        Let unexpected exceptions through.
    parts
        The map gets one of so many parts of the time that is left when it is first asked for.
    """

    def __init__(
        self,
        facts: Facts,
        bench: Bench,
        options: MeasureOptions,
        budget: Budget,
        *,
        parts: float = 1.0,
        debug: bool = False,
    ) -> None:
        self.facts = facts
        self.bench = bench
        self.options = options
        self.budget = budget
        self._parts = parts
        self._debug = debug
        self.crashes: list[str] = []
        """What the measurement of a map failed of, though it should not."""
        self._passes = 0
        self._seconds = 0.0
        """That the latest map took, with its figures."""
        self._enough = 0.0
        """That the latest map from gradients took: with much less there is none, whereas pixels are
        perturbed for as long as there is time."""
        self._found: tuple[Influence, Summary] | NotMeasuredError | None = None

    def more_inputs(self) -> bool:
        """Measure the map anew on more random inputs.

        Returns
        -------
        bool
            Whether there is such a map; not where the inputs are others, or have been `MOST_INPUTS`
            already, or time does not suffice.
        """
        options, found = self.options, self._found
        count = options.random_inputs * MORE_INPUTS
        if options.inputs not in ((), ("random",)) or count > MOST_INPUTS:
            return False
        if not isinstance(found, tuple) or not found[0].full:
            return False
        part = self.budget.part(self._parts)
        if part.left < 2 * MORE_INPUTS * self._seconds:
            return False
        more = replace(options, random_inputs=count)
        found = self._measured(more, part)
        if not isinstance(found, tuple) or not found[0].full:
            return False
        self.options, self._found = more, found
        return True

    def _measured(
        self, options: MeasureOptions, budget: Budget
    ) -> tuple[Influence, Summary] | NotMeasuredError:
        try:
            self.require_run()
        except NotMeasuredError as error:
            return error
        left = budget.left
        if left < max(LEAST_SECONDS, LEAST_PASSES * self.bench.seconds):
            return BudgetSpentError()
        figures = FIGURES_SECONDS * prod(self.facts.image_size)
        left -= min(figures, FIGURES_SHARE * left)
        seconds = left if options.budget is None else min(left, options.budget)
        start = self.budget.clock()
        try:
            limits = replace(options, budget=seconds, confirmation=CONFIRMATION)
            influence = measure(self.facts, limits)
        except RefusedError as error:
            return NotRunError(str(error))
        except (MeasurementError, UsageError) as error:
            if budget.left <= 0 or "within the limits" in str(error):
                return BudgetSpentError()
            return NotMeasuredError(str(error))
        except Exception as error:
            if self._debug:
                raise
            said = " ".join(str(error).split())
            self.crashes.append(f"{type(error).__name__}: {said}")
            return NotMeasuredError("the measurement crashed")
        if influence.interrupted:
            raise KeyboardInterrupt
        summary = summarise(influence)
        self._seconds = self.budget.clock() - start
        if influence.gradients is not None:
            self._enough = self._seconds
        self._passes += influence.work.passes
        return influence, summary

    @property
    def influence(self) -> Influence:
        """The map of the last feature maps; measured when first asked for.

        Raises
        ------
        NotMeasuredError
            If it cannot be measured, or not in time.
        """
        return self._map[0]

    @property
    def summary(self) -> Summary:
        """The figures of the map.

        Raises
        ------
        NotMeasuredError
            As of `influence`.
        """
        return self._map[1]

    @property
    def _map(self) -> tuple[Influence, Summary]:
        if self._found is None:
            self._found = self._measured(self.options, self.budget.part(self._parts))
        if isinstance(self._found, NotMeasuredError):
            raise self._found
        return self._found

    def of_output(self, output: str, parts: float) -> tuple[Influence, Summary]:
        """Return the map and the figures of one output.

        It gets one of so many parts of the time that is left, but as long as the latest map from
        gradients took; where less is left it is not begun.

        Raises
        ------
        NotMeasuredError
            As of `influence`.
        """
        self.budget.require(self._enough)
        part = self.budget.part(parts, self._enough)
        found = self._measured(replace(self.options, tensor=output), part)
        if isinstance(found, NotMeasuredError):
            raise found
        return found

    def require_run(self) -> None:
        """Make sure that onnxruntime runs the model at these shapes.

        Raises
        ------
        NotMeasuredError
            If it does not; a `NotRunError` where onnxruntime says so.
        """
        failure = self.bench.failure
        if isinstance(failure, RefusedError):
            raise NotRunError(str(failure))
        if failure is not None:
            raise NotMeasuredError(str(failure))

    def is_in_body(self, finding: Finding) -> bool:
        """Tell whether a finding is about an operator that a run may leave out.

        One in the branch of an If, or in the body of a Loop or Scan.
        """
        known = {operator.name for operator in self.facts.operators}
        return any(loc.node is not None and loc.node not in known for loc in finding.locations)

    def figure(self, key: str) -> Figure:
        """Return a figure of the map that is known.

        Raises
        ------
        NotMeasuredError
            If it is not known, or there is no map.
        """
        found = self.summary.figures.get(key)
        if found is None or found.value is None:
            why = f": {found.reason}" if found is not None and found.reason else ""
            raise NotMeasuredError(f"{key.replace('_', ' ')} is not known of the measured map{why}")
        return found

    @property
    def passes(self) -> int:
        """Inputs that were run through the model so far."""
        return self.bench.passes + self._passes
