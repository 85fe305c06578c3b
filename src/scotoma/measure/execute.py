"""Runs a plan until it is done, a limit is reached or Ctrl-C is pressed."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from scotoma.measure.ledger import Ledger

if TYPE_CHECKING:
    from scotoma.measure.journal import Journal
    from scotoma.measure.plan import Plan
    from scotoma.measure.prober import Prober, Response

    Chunk = list[int]
    Answers = Generator[tuple[Chunk, list[Response]], None, None]


@dataclass(slots=True)
class Limits:
    """How long a measurement may go on."""

    deadline: float | None = None
    """In seconds of `time.perf_counter`."""
    passes: int | None = None
    """Most passes, those of earlier sessions included."""


@dataclass(slots=True)
class Run:
    """A measurement under way; what it has found so far is always whole units."""

    plan: Plan
    probers: Sequence[Prober]
    """One for each thread."""
    limits: Limits
    ledger: Ledger
    journal: Journal | None = None
    progress: Callable[[int, int], None] | None = None
    """Called with the passes done and expected."""
    total: int = 0
    """Passes that there are in the end without a limit."""
    spent: int = 0
    """Passes so far."""
    done: int = 0
    """Units so far."""
    interrupted: bool = False
    _started: float = field(default_factory=perf_counter)
    _before: int = 0
    """Passes that were done when this run started."""

    def go(self) -> None:
        """Run units until the plan is done or a limit is reached.

        Ctrl-C ends it as a limit does, with `interrupted` set.
        """
        self._started, self._before = perf_counter(), self.spent
        answers = self._alone() if len(self.probers) == 1 else self._together()
        with closing(answers):
            try:
                for chunk, responses in answers:
                    self._keep(chunk, responses)
            except KeyboardInterrupt:
                self.interrupted = True

    def _keep(self, chunk: Chunk, responses: list[Response]) -> None:
        for index, response in zip(chunk, responses, strict=True):
            self.ledger.add(self.plan.unit(index), response)
            self.spent += self.plan.cost(index)
            self.done += 1
            if self.journal is not None:
                self.journal.write(index, response)
        if self.progress is not None:
            self.progress(self.spent, self._expected())

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the units that are left, as many at once as a batch has room for."""
        costs = 0
        index = self.done
        while index < len(self.plan):
            cost = self.plan.cost(index)
            size = max(1, self.probers[0].batch * self.plan.variants.inputs // cost)
            chunk: Chunk = []
            while index < len(self.plan) and len(chunk) < size:
                costs += self.plan.cost(index)
                if self.limits.passes is not None and self._before + costs > self.limits.passes:
                    break
                chunk.append(index)
                index += 1
            if not chunk:
                return
            yield chunk

    def _too_late(self, pending: int) -> bool:
        """Tell whether a chunk would not be finished before the deadline."""
        if self.limits.deadline is None:
            return False
        now = perf_counter()
        passes = self.spent - self._before
        each = (now - self._started) / passes if passes else 0.0
        return now + each * pending > self.limits.deadline

    def _expected(self) -> int:
        """Return the passes that there will have been in the end, about."""
        total = self.total
        if self.limits.passes is not None:
            total = min(total, self.limits.passes)
        if self.limits.deadline is not None and self.spent > self._before:
            rate = (self.spent - self._before) / (perf_counter() - self._started)
            left = max(0.0, self.limits.deadline - perf_counter())
            total = min(total, self.spent + int(rate * left))
        return max(total, self.spent)

    def _alone(self) -> Answers:
        for chunk in self._chunks():
            if self._too_late(sum(map(self.plan.cost, chunk))):
                return
            yield chunk, self.probers[0].respond(self.plan, chunk)

    def _together(self) -> Answers:
        """Answer chunks in several threads; the results come in the order of the plan."""
        idle: queue.SimpleQueue[Prober] = queue.SimpleQueue()
        for prober in self.probers:
            idle.put(prober)

        def respond(chunk: Chunk) -> list[Response]:
            prober = idle.get()
            try:
                return prober.respond(self.plan, chunk)
            finally:
                idle.put(prober)

        pool = ThreadPoolExecutor(len(self.probers))
        waiting: deque[tuple[Chunk, Future[list[Response]]]] = deque()
        try:
            for chunk in self._chunks():
                cost = sum(map(self.plan.cost, chunk))
                if self._too_late(cost * (len(waiting) + 1)):
                    break
                waiting.append((chunk, pool.submit(respond, chunk)))
                if len(waiting) > 2 * len(self.probers):
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
