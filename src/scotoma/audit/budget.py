"""The time that a run may take, shared over what is still to be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from scotoma.audit.errors import BudgetSpentError


@dataclass(frozen=True, slots=True)
class Budget:
    """A point in time at which everything is to be done.

    Examples
    --------
    >>> now = Budget.of(10.0, clock=lambda: 3.0)
    >>> now.left, now.part(2).left, now.part(0.5).left
    (10.0, 5.0, 10.0)
    >>> now.part(5, least=4.0).left, now.part(5, least=40.0).left
    (4.0, 10.0)
    """

    deadline: float
    clock: Callable[[], float] = field(default=perf_counter, repr=False)

    @classmethod
    def of(cls, seconds: float, clock: Callable[[], float] = perf_counter) -> Budget:
        """Return a budget that begins now."""
        return cls(clock() + seconds, clock)

    @property
    def left(self) -> float:
        """Seconds until the deadline; below 0 after it."""
        return self.deadline - self.clock()

    def part(self, parts: float, least: float = 0.0) -> Budget:
        """Return the first of several equal parts of what is left; all of it for less than one.

        It has at least so many seconds, as far as they are left.
        """
        now = self.clock()
        left = self.deadline - now
        share = left / max(1.0, parts)
        return Budget(now + max(share, min(least, left)), self.clock)

    def require(self, seconds: float = 0.0) -> None:
        """Make sure that something of this length still fits.

        Raises
        ------
        BudgetSpentError
            If it does not.
        """
        if self.left <= seconds:
            raise BudgetSpentError
