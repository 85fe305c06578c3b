"""Random numbers on the way to an output, so that the same image gives another result every time.

What it finds
-------------
``RandomNormal``, ``RandomUniform`` (and ``Like``), ``Bernoulli`` and ``Multinomial`` whose values
reach an output: noise layers and randomised activations (RReLU, Gaussian dropout) that were left in
training mode, and sampling. Bodies of If, Loop and Scan and local functions are searched too. Where
only the shape of the numbers is used, or no output depends on them, there is no finding; random
masks that drop activations belong to dropout-at-inference.

Why it matters
--------------
No result can be repeated, and a threshold near a score passes in one run and fails in the next.
Runtimes keep such operators at every optimisation level. A ``seed`` repeats the sequence of a
session, not a run.

What to do
----------
Export after ``model.eval()``. In the file, put a constant in place of the numbers: the mean of the
distribution. If the sampling is meant, make the numbers an input of the model, so that the caller
decides, or suppress the rule.

Limits
------
A note where the numbers are meant to be there: the latent vector that a generator starts from, one
map of noise that it adds to all channels alike (StyleGAN), and the sample of a variational encoder
(a mean plus a deviation times noise).

References
----------
onnx operators RandomNormalLike, RandomUniformLike, Bernoulli and Multinomial.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.randomness import Noise, active_noise
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts

MOST_SINGLE = 20
"""More findings than this of one severity become one."""


class StochasticOperator(Rule):
    """The output of a model is random."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC503",
        name="stochastic-operator",
        severity=Severity.ERROR,
        since="0.1.0",
        references=(
            "https://onnx.ai/onnx/operators/onnx__RandomNormalLike.html",
            "https://onnx.ai/onnx/operators/onnx__Multinomial.html",
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every source of random numbers, or one finding for many."""
        found = list(active_noise(facts))
        for latent, severity in ((False, Severity.ERROR), (True, Severity.NOTE)):
            group = [noise for noise in found if noise.latent is latent]
            if len(group) > MOST_SINGLE:
                yield self._finding(group, severity)
            else:
                for noise in group:
                    yield self._finding([noise], severity)

    def _finding(self, group: list[Noise], severity: Severity) -> Finding:
        first = group[0]
        subject = "its" if len(group) == 1 else f"its and {len(group) - 1} more operators'"
        meeting = "reach an output"
        if len(group) == 1 and first.joins is not None:
            meeting = f"meet the image's values at '{first.joins.name}' and reach an output"
        seeded = len(group) == 1 and "seed" in first.operator.attributes
        seed = "; its seed repeats a session, not a run" if seeded else ""
        places = [Location(noise.operator.name, noise.operator.op_type) for noise in group]
        if len(group) == 1 and first.joins is not None:
            note = "where the random numbers meet values that depend on the input"
            places.append(Location(first.joins.name, first.joins.op_type, None, note))
        return self.finding(
            places,
            f"{subject} random numbers, {_distribution(first)}, {meeting}: every run gives another "
            f"result{seed}",
            Measurement("random_operators", len(group), "operators", limit=0),
            remedy=(
                "make the numbers an input of the model, so that results can be repeated"
                if severity is Severity.NOTE
                else "export after model.eval(), or put the mean of the distribution in their place"
            ),
            severity=severity,
        )


def _distribution(noise: Noise) -> str:
    """Say in words how the numbers are distributed."""
    kind, given = noise.operator.op_type, noise.operator.attributes
    if kind.startswith("RandomNormal"):
        mean, scale = given.get("mean", 0.0), given.get("scale", 1.0)
        return f"normal with mean {_short(mean)} and deviation {_short(scale)}"
    if kind.startswith("RandomUniform"):
        return f"uniform from {_short(given.get('low', 0.0))} to {_short(given.get('high', 1.0))}"
    if kind == "Bernoulli":
        return "zeros and ones"
    return "samples of classes"


def _short(number: object) -> str:
    return f"{number:.3g}" if isinstance(number, int | float) else "unknown"
