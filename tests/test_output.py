"""Reports are written whole or not at all, and a line says why not."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import programs
import pytest

from scotoma.cli import main
from scotoma.cli.output import Target, targets, write, write_all
from scotoma.errors import OutputError, UsageError
from scotoma.report import REPORTERS

ROOT = Path(__file__).parents[1]
MODEL = str(ROOT / "sample_models" / "five_layers_valid.onnx")
LINT = [*programs.SCOTOMA, "lint", MODEL, "--exit-zero", "--select", "SC102"]
FULL = Path("/dev/full")
SLOW_RULE = """
import time
from scotoma.findings import Severity
from scotoma.rule import Rule, RuleMeta

class Slow(Rule):
    meta = RuleMeta(code="XX1", name="slow", severity=Severity.NOTE, since="0.1.0")

    def check(self, facts):
        print("ready", flush=True)
        time.sleep(9999)
        yield from ()
"""

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path, link = tmp_path / "report.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write("\x1b[31mné\udc80\x1b[0m", str(link), colour=True)
    assert path.read_bytes() == "né\\udc80".encode()
    assert (stat.S_IMODE(path.stat().st_mode), link.is_symlink()) == (0o640, True)
    assert files(tmp_path) == {"report.json", "link.json"}


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    write("x", str(tmp_path / "report"), colour=False)
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "report").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "report").read_text() == "x"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("what", "error"), [(interrupt, KeyboardInterrupt), (fail, OutputError)])
def test_what_was_there_stays_where_writing_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: Callable[..., None],
    error: type[BaseException],
) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr("shutil.copymode", what)  # after the new one was written
    with pytest.raises(error):
        write("new", str(path), colour=False)
    assert (path.read_text(), files(tmp_path)) == ("old", {"report.json"})


def test_a_folder_that_takes_no_new_file_keeps_its_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(path: Path, mode: str = "r", *rest: object) -> object:
        if "x" in mode:
            raise PermissionError(13, "Permission denied")
        return real(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
    path = tmp_path / "report.json"
    with pytest.raises(UsageError, match=r"report\.json' cannot be written: Permission denied"):
        write("new", str(path), colour=False)
    with real(path, "w") as file:
        file.write("old")
    write("new", str(path), colour=False)
    with real(path) as file:
        assert file.read() == "new"


def test_the_others_are_written_where_one_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [Target("a", "/proc/no/such"), Target("b", str(tmp_path / "b")), Target("c", "-")]
    (problem,) = write_all(places, str.upper, colour=False)
    assert str(problem) == "'/proc/no/such' cannot be written: No such file or directory"
    assert isinstance(problem, UsageError)
    assert ((tmp_path / "b").read_text(), capsys.readouterr().out) == ("B", "C")


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("{}", "-o: '{}' is a folder"),
        ("{}/none/x", "-o: there is no folder for '{}/none/x'"),
        ("/proc/report.json", "'/proc/report.json' cannot be written: "),
        ("{}/" + "x" * 300, "cannot be written: File name too long"),
    ],
)
def test_a_place_that_cannot_be_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str, line: str
) -> None:
    path = place.format(tmp_path)
    assert main(["lint", MODEL, "--select", "SC102", "-o", f"sarif={path}"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert line.format(tmp_path) in captured.err
    assert files(tmp_path) == set()


def test_a_file_that_may_not_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["lint", "no such model", "-o", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == (
        f"scotoma: -o: '{tmp_path / 'x'}' cannot be written: Permission denied\n"
    )


@needs_full
@pytest.mark.parametrize("place", ["-o", "stdout"])
def test_a_full_disk_is_one_line_and_status_3(place: str) -> None:
    with FULL.open("w") as full:
        done = programs.run(
            [*LINT, "-o", "json=/dev/full"] if place == "-o" else LINT,
            stdout=full if place == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    where = "'/dev/full'" if place == "-o" else "standard output"
    assert done.stderr == f"scotoma: {where} cannot be written: No space left on device\n"
    assert done.returncode == 3
    assert FULL.is_char_device()


def test_a_closed_standard_output_is_one_line_and_status_2() -> None:
    shell = ["/bin/sh", "-c", '"$@" >&-', "sh"]
    done = programs.run([*shell, *LINT], stderr=subprocess.PIPE, text=True)
    assert done.stderr == "scotoma: standard output is closed: -o FILE writes to a file\n"
    assert done.returncode == 2


def test_a_closed_pipe_leaves_the_files_whole(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    path = tmp_path / "report.txt"
    command = [*LINT, "-o", "text=-", "-o", f"text={path}"]
    done = programs.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert path.read_text().endswith("1 model: 0 errors, 1 warning, 0 notes, 0 undecided\n")
    assert files(tmp_path) == {"report.txt"}


def test_ctrl_c_leaves_no_report_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "slow.py").write_text(SLOW_RULE)
    command = [*programs.SCOTOMA, "lint", MODEL, "--rules", str(tmp_path / "rules")]
    command += ["--select", "XX1", "-o", str(tmp_path / "report.json")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with programs.start(command, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=programs.PATIENCE)
    assert (process.returncode, out, err) == (130, "", "\nscotoma: interrupted\n")
    assert files(tmp_path) == {"rules"}


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # the report fits what a pipe holds
    done = programs.run([*LINT, "-o", str(pipe)])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.read(reader, 1 << 16).endswith(b"0 undecided\n")
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        ("report.html", "text", "html"),
        ("folder/report.SARIF", "text", "sarif"),
        ("report.xml", "text", "junit"),
        ("report.md", "text", "markdown"),
        ("report.json", "github", "github"),
        ("text=report.json", "text", "text"),
        ("report.txt", "text", "text"),
        ("-", "text", "text"),
    ],
)
def test_the_ending_of_a_file_says_its_format(
    value: str, default: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert targets([value], default, REPORTERS) == [Target(expected, value.rpartition("=")[2])]


def test_an_ending_means_nothing_where_there_is_no_such_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert targets(["report.html"], "text", ["text", "json"]) == [Target("text", "report.html")]
