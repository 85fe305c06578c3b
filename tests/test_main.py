"""How the program begins and ends: an interrupt at any moment gives one line and status 130."""

from __future__ import annotations

import _thread
import signal
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from scotoma import __main__ as program
from scotoma import cli, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Put back what the program sets for the whole process."""
    handler, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)
    sys.unraisablehook = hook


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    def call(main: Callable[[], int]) -> int:
        monkeypatch.setattr(cli, "main", main)
        return program.run()

    return call


def interrupt() -> int:
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("not reached")


def taken_for_a_failure() -> int:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        return 3
    raise AssertionError("not reached")


def told_already() -> int:
    return 130 if taken_for_a_failure() == 3 else 0


@pytest.mark.parametrize("main", [interrupt, taken_for_a_failure])
def test_an_interrupt_is_one_line_whoever_catches_it(
    main: Callable[[], int], runs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runs(main) == 130
    assert capsys.readouterr() == ("", "scotoma: interrupted\n")


@pytest.mark.parametrize(("main", "status"), [(told_already, 130), (lambda: 1, 1)])
def test_what_the_command_line_has_told_is_not_told_again(
    main: Callable[[], int], status: int, runs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runs(main) == status
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_behind_the_last_report_does_nothing(runs: Any) -> None:
    assert runs(lambda: 0) == 0
    signal.raise_signal(signal.SIGINT)


def test_what_a_caller_ignores_stays_ignored(runs: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def main() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    assert runs(main) == 0


def test_an_interrupt_in_a_callback_of_python_is_raised_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[tuple[float, Any]] = []
    timer = SimpleNamespace(daemon=False, start=lambda: None)

    def made(seconds: float, action: Any) -> Any:
        begun.append((seconds, action))
        return timer

    monkeypatch.setattr(program, "Timer", made)
    dropped: Any = SimpleNamespace(exc_type=KeyboardInterrupt)
    program._raise_again(dropped)
    assert begun == [(program.AGAIN, _thread.interrupt_main)]
    assert timer.daemon


def test_other_errors_of_callbacks_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    dropped: Any = SimpleNamespace(exc_type=ValueError)
    program._raise_again(dropped)
    assert told == [dropped]


@pytest.mark.skipif(not workers.CAN_BLOCK, reason="this system cannot put a signal off")
def test_an_interrupt_waits_until_processes_are_started() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), workers._deaf():  # noqa: PT012  what comes after it
        signal.raise_signal(signal.SIGINT)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
        done.append("started")
    assert done == ["started"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
