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

    def part(self, parts: float) -> Budget:
        """Return the first of several equal parts of what is left; all of it for less than one."""
        left = self.left
        return Budget(self.clock() + left / max(1.0, parts), self.clock)

    def require(self, seconds: float = 0.0) -> None:
        """Make sure that something of this length still fits.

        Raises
        ------
        BudgetSpentError
            If it does not.
        """
        if self.left <= seconds:
            raise BudgetSpentError
