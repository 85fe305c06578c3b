"""Reports are written whole or not at all, and a line says why not."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scotoma.cli import main
from scotoma.cli.output import Target, targets, write, write_all
from scotoma.errors import OutputError, UsageError
from scotoma.report import REPORTERS

ROOT = Path(__file__).parents[1]
MODEL = str(ROOT / "sample_models" / "five_layers_valid.onnx")
LINT = [sys.executable, "-m", "scotoma", "lint", MODEL, "--exit-zero", "--select", "SC102"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
FULL = Path("/dev/full")

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
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


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
        done = subprocess.run(
            [*LINT, "-o", "json=/dev/full"] if place == "-o" else LINT,
            env=ENVIRONMENT,
            stdout=full if place == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    where = "'/dev/full'" if place == "-o" else "standard output"
    assert done.stderr == f"scotoma: {where} cannot be written: No space left on device\n"
    assert done.returncode == 3
    assert FULL.is_char_device()


def test_a_closed_standard_output_is_one_line_and_status_2() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *LINT],
        env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == "scotoma: standard output is closed: -o FILE writes to a file\n"
    assert done.returncode == 2


def test_a_closed_pipe_leaves_the_files_whole(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    path = tmp_path / "report.txt"
    done = subprocess.run(
        [*LINT, "-o", "text=-", "-o", f"text={path}"],
        env=ENVIRONMENT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert path.read_text().endswith("1 model: 0 errors, 1 warning, 0 notes, 0 undecided\n")
    assert files(tmp_path) == {"report.txt"}


def test_ctrl_c_leaves_no_report_and_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*LINT[:4], str(pipe), "-o", str(tmp_path / "report.json")],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = pipe.open("wb")  # returns when the model is being read
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    writer.close()
    assert (process.returncode, out, err) == (130, "", "\nscotoma: interrupted\n")
    assert files(tmp_path) == {"model.onnx"}


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen([*LINT, "-o", str(pipe)], env=ENVIRONMENT, stdout=subprocess.PIPE)
    assert pipe.read_text().endswith("0 undecided\n")
    assert process.communicate(timeout=60)[0] == b""
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
