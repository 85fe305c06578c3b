"""A random mask of dropout that was stored as a constant: the same activations are always zero.

What it finds
-------------
Products of an activation and a constant of zeros and one other value, 1 or ``1 / (1 - ratio)``,
whose zeros are strewn at random: the number of neighbours that differ is that of independent cells,
along every axis. Selections (``Where``) by such a mask count as well. And, as a note, sums of a
feature map and a constant of its shape that is white normal noise, what GaussianNoise leaves.

Why it matters
--------------
tf2onnx and other converters draw the random numbers of a layer that was called with
``training=True`` once and store them. The model is deterministic and looks healthy, but the zeros
are dead for ever: what it knows of these places and channels is lost.

What to do
----------
Convert a model that is called with ``training=False``. In the file, put Identity in place of the
product (and of the factor, where it is an operator of its own).

Limits
------
Attention masks, Swin's shift masks, window functions, frames, rectangles and regular stencils are
not strewn at random and stay silent. A mask of whole channels with the factor 1, and one that the
input itself is multiplied by, may be meant (pruning, coded apertures): a warning. Masks of fewer
than 16 cells are not judged, nor those with less than 5 % or more than 95 % of zeros (options
``least-share`` and ``largest-share``). What is strewn at random keeps within 4 standard deviations
(option ``deviations``).

References
----------
onnx operator Dropout; tensorflow-onnx, constant folding of random operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.frozen import Chance, Frozen, Unreadable, frozen_masks, frozen_noise
from scotoma.findings import Confidence, Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    least_share: float = option(0.05, "least share of zeros in a mask", 0, 1)
    largest_share: float = option(0.95, "largest share of zeros in a mask", 0, 1)
    deviations: float = option(
        4.0, "standard deviations within which random numbers are taken to lie", 0
    )


class FrozenDropoutMask(Rule):
    """Some activations are zero for every image."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC504",
        name="frozen-dropout-mask",
        severity=Severity.ERROR,
        since="0.1.0",
        references=("https://onnx.ai/onnx/operators/onnx__Dropout.html",),
    )

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every product with a mask, and every sum with noise."""
        wanted = facts.options(Options)
        chance = Chance(wanted.least_share, wanted.largest_share, wanted.deviations)
        for item in frozen_masks(facts, chance):
            if isinstance(item, Unreadable):
                reason = f"whether its constant is a mask of dropout cannot be told: {item.reason}"
                yield self.undecided(reason, item.operator)
            else:
                yield self._mask(item, wanted.least_share)
        for noise in frozen_noise(facts, chance):
            if isinstance(noise, Unreadable):
                reason = f"whether its constant is noise on a map cannot be told: {noise.reason}"
                yield self.undecided(reason, noise.operator)
            else:
                yield self._noise(noise)

    def _mask(self, item: Frozen, least: float) -> Finding:
        size = "x".join(map(str, item.shape))
        total = item.zeros / item.share
        kept = f", the others multiplied by {item.factor:.3g}" if item.factor != 1 else ""
        return self.finding(
            _where(item),
            f"sets {float(item.share):.1%} of the activations to zero for every image, "
            f"{item.zeros:,} of {int(total):,} in a {size} mask of random places{kept}",
            Measurement("zeroed_fraction", item.share, "1", limit=least),
            remedy="convert the model with training=False, or put Identity in place of the product",
            severity=None if item.certain else Severity.WARNING,
            confidence=None if item.certain else Confidence.MEDIUM,
        )

    def _noise(self, item: Frozen) -> Finding:
        return self.finding(
            _where(item),
            "adds a constant that is white noise, normal around 0 with deviation "
            f"{item.factor:.3g}, the same for every image",
            Measurement("noise_deviation", item.factor, "1", limit=0),
            remedy="convert the model with training=False, or put Identity in place of the sum",
            severity=Severity.NOTE,
            confidence=Confidence.MEDIUM,
        )


def _where(item: Frozen) -> Location:
    return Location(item.operator.name, item.operator.op_type, item.tensor)
