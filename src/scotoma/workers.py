"""Lints several models at once, each in one of several processes, with the same result as one."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from scotoma import engine
from scotoma.registry import load_rules
from scotoma.results import Failure, ModelReport
from scotoma.rule import Rule

CAN_BLOCK = hasattr(signal, "pthread_sigmask")
"""Not on Windows."""


@dataclass(frozen=True, slots=True)
class Task:
    """A model to lint."""

    path: str
    rules: tuple[Rule, ...]
    options: engine.Options


def lint(tasks: Iterable[Task], *, jobs: int, directories: Sequence[str]) -> list[ModelReport]:
    """Lint models and return their reports in the order of the tasks.

    Parameters
    ----------
    jobs
        Processes; with 1 everything happens in this one.
    directories
        Folders with rules, which every process has to load.
    """
    work = list(tasks)
    # Standard input cannot be handed on.
    away = [i for i, task in enumerate(work) if task.path != "-"] if jobs > 1 else []
    if len(away) < 2:
        return [run(task) for task in work]
    found = _together([work[i] for i in away], min(jobs, len(away)), tuple(directories))
    reports = dict(zip(away, found, strict=True))
    return [reports[i] if i in reports else run(task) for i, task in enumerate(work)]


def run(task: Task) -> ModelReport:
    """Lint one model in this process."""
    return engine.lint_model(task.path, task.rules, task.options)


def _together(tasks: Sequence[Task], jobs: int, directories: tuple[str, ...]) -> list[ModelReport]:
    """Lint in several processes; where one dies, find out alone with each model whose fault it was.

    A process that dies, as of too little memory, takes all unfinished ones with it.
    """
    done = _pool(tasks, jobs, directories)
    if jobs > 1 and len(tasks) > 1:
        return [
            report or _together([task], 1, directories)[0]
            for task, report in zip(tasks, done, strict=True)
        ]
    message = "its process ended unexpectedly, perhaps for want of memory"
    return [
        report or ModelReport(path=task.path, status="error", failure=Failure("internal", message))
        for task, report in zip(tasks, done, strict=True)
    ]


def _pool(
    tasks: Sequence[Task], jobs: int, directories: tuple[str, ...]
) -> list[ModelReport | None]:
    """Return a report for each task, None for those that a dying process took with it."""
    # A fresh process each: a copy of this one could copy locks that its threads hold.
    context = multiprocessing.get_context("spawn")
    arguments = (directories, gc.get_threshold())
    pool = ProcessPoolExecutor(jobs, context, initializer=_prepare, initargs=arguments)
    try:
        with _deaf():
            futures = _submit(pool, tasks)
        return [_result(future) for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Put Ctrl-C off, also for the processes that are started, until `_prepare` has run there.

    A process that is interrupted while it loads Python's own modules would write a traceback.
    """
    if not CAN_BLOCK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _submit(pool: ProcessPoolExecutor, tasks: Sequence[Task]) -> list[Future[ModelReport] | None]:
    futures: list[Future[ModelReport] | None] = []
    for task in tasks:
        try:
            futures.append(pool.submit(run, task))
        except BrokenProcessPool:
            futures.append(None)
    return futures


def _result(future: Future[ModelReport] | None) -> ModelReport | None:
    try:
        return future.result() if future is not None else None
    except BrokenProcessPool:
        return None


def _prepare(directories: tuple[str, ...], threshold: tuple[int, int, int]) -> None:
    """Set up a process: rules come by reference, so that their modules have to be there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    if CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    gc.set_threshold(*threshold)
    load_rules(directories)
