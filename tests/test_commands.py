"""The commands and their options as a whole, and the program as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import programs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scotoma
from scotoma.cli import group
from scotoma.cli.lint import lint
from scotoma.cli.options import read_input_shape, read_sizes
from scotoma.report.json import dump

Run = Callable[..., tuple[int, str, str]]


def test_limits_of_measured_figures_are_explained_like_rules(run: Run) -> None:
    result, out, err = run("explain", "sc902")
    title, when, _, summary, *_ = out.splitlines()
    assert (result, title, err) == (0, "SC902 measured-min-border-ratio", "")
    assert when == "error, confidence high, on where its limit is set, since 0.1.0"
    assert summary == (
        "The border has less influence, over that of the interior, than the limit demands."
    )
    assert "`min-border-ratio`" in out
    assert "``" not in out
    assert run("explain", "measured-min-border-ratio")[1] == out


def test_limits_of_measured_figures_say_what_each_limits(run: Run) -> None:
    head, _, _, *rows, _, how, option = run("explain", "SC9")[1].splitlines()
    over, allowed = "influence, over that of", "the limit allows"
    place = "the same stimulus depends on its place"
    assert head == "SC9 is a family of 4 limits; `scotoma explain SC901` explains one."
    assert [re.split("  +", row) for row in rows] == [
        [f"SC90{number}", f"measured-{name}", "error", "where set", what]
        for number, (name, what) in enumerate(
            [
                ("max-dead-pixels", f"More pixels change nothing than {allowed}"),
                (
                    "min-border-ratio",
                    f"The border has less {over} the interior, than the limit demands",
                ),
                (
                    "max-asymmetry",
                    f"One half of the image has more {over} the other, than {allowed}",
                ),
                ("max-position-sensitivity", f"The answer to {place} more than {allowed}"),
            ],
            start=1,
        )
    ]
    assert how.startswith(
        "Each is on where its limit is set, by the option or the key of the table"
    )
    assert "`scotoma audit --max-dead-pixels 0`, or `max-dead-pixels = 0`" in option


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("max-dead-pixels", "0"),
        ("min-border-ratio", "0.5"),
        ("max-asymmetry", "1.5"),
        ("max-position-sensitivity", "0.2"),
    ],
)
def test_each_limit_says_how_it_is_set(run: Run, name: str, limit: str) -> None:
    """As options of the command that exist."""
    out = " ".join(run("explain", f"measured-{name}")[1].split())
    assert f"How it is set `scotoma audit --{name} {limit}`, or `{name} = {limit}` in the" in out
    assert f"--{name} " in run("audit", "--help")[1]


@pytest.mark.parametrize("word", ["SC9", "sc904", "measured-max-asymmetry"])
def test_limits_of_measured_figures_are_set_not_selected(run: Run, word: str) -> None:
    expected = (
        f"scotoma: the command line: select: '{word}' stands for limits of measured figures, not "
        "for rules; each is on where it is set, as by `scotoma audit --max-dead-pixels 0`\n"
    )
    assert run("lint", "-", "--isolated", "--select", word) == (2, "", expected)


def test_an_audit_writes_the_document_of_lint(run: Run) -> None:
    assert run("schema", "audit") == run("schema", "lint")
    assert run("schema", "audit")[0] == 0


def options_of(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def test_an_option_is_the_same_in_every_command() -> None:
    found: dict[str, set[object]] = {}
    for command in group.commands.values():
        for option in options_of(command):
            kind = option.metavar, option.is_flag, option.multiple
            for name in (*option.opts, *option.secondary_opts):
                found.setdefault(name, set()).add(kind)
    assert {name for name, kinds in found.items() if len(kinds) > 1} == set()


def test_help_shows_options_under_headings_and_examples(run: Run) -> None:
    shown = run("lint", "--help")[1].splitlines()
    headings = [line for line in shown if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Report:", "Rules:", "What counts:", "Model:", "Settings:", "Other options:", "Examples:",
    ]  # fmt: skip
    named = [line.split()[0].rstrip(",") for line in shown if line.startswith("  -")]
    assert sorted(named) == sorted({o.opts[0] for o in options_of(lint)} | {"-h"})
    at = shown.index("Examples:")
    assert shown[at + 1 :] == [
        "  scotoma lint models/",
        "  scotoma lint model.onnx --size 224x224 --fail-on warning",
        "  scotoma lint models/ -o text=- -o findings.sarif",
        "  scotoma lint models/ --write-baseline known.json",
    ]


def test_commands_are_listed_by_importance(run: Run) -> None:
    lines = run("--help")[1].splitlines()
    start = lines.index("Commands:") + 1
    names = [line.split()[0] for line in lines[start : start + 9]]
    assert names == [
        "lint", "audit", "trace", "sizes", "measure", "diff", "rules", "explain", "schema",
    ]  # fmt: skip


def test_every_setting_of_a_run_has_its_environment_variable() -> None:
    options = {p.opts[-1]: p.envvar for p in lint.params if isinstance(p, click.Option)}
    for_the_command_line_alone = {
        "--show-settings", "--write-baseline", "--prune-baseline", "--rules", "--debug", "--help",
    }  # fmt: skip
    assert {name for name, variable in options.items() if variable is None} == (
        for_the_command_line_alone - {"--help"}
    )
    for name, variable in options.items():
        if variable is not None:
            assert variable == "SCOTOMA" + name[1:].replace("-", "_").upper()


@pytest.mark.parametrize("arguments", [[], *([name] for name in group.commands)])
def test_help_answers_at_once_because_it_imports_little(arguments: list[str]) -> None:
    program = (
        "import sys; before = set(sys.modules); from scotoma.cli import main;"
        "status = main(sys.argv[1:]);"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - sys.stdlib_module_names), file=sys.stderr);"
        "sys.exit(status)"
    )
    done = programs.python("-c", program, *arguments, "--help")
    assert (done.returncode, done.stderr.split()) == (0, ["click", "scotoma"])
    assert done.stdout.startswith(" ".join(["Usage: scotoma", *arguments]))


def test_the_program_runs_as_a_module() -> None:
    done = programs.run([*programs.SCOTOMA, "--version"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"scotoma, version {scotoma.__version__}\n"
    assert programs.run([*programs.SCOTOMA, "nope"]).returncode == 2


def test_a_closed_pipe_ends_quietly() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*programs.SCOTOMA, "rules"]
    done = programs.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_ends_a_run_without_a_traceback(tmp_path: Path) -> None:
    pipe = tmp_path / "slow_rules"
    pipe.mkdir()
    (pipe / "slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(9999)\n")
    command = [*programs.SCOTOMA, "rules", "--rules", str(pipe)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with programs.start(command, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=programs.PATIENCE)
    assert (process.returncode, err) == (130, "\nscotoma: interrupted\n")


def test_output_survives_an_encoding_that_lacks_its_characters(tmp_path: Path) -> None:
    environment = programs.environment(PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    model = str(tmp_path / "größe.onnx")
    done = programs.run([*programs.SCOTOMA, "lint", model], env=environment)
    shown = model.replace("öße", "\\xf6\\xdfe")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.splitlines()[:2] == [shown, "  not examined (missing): no such file"]


@given(st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=5), st.text(min_size=1))
def test_shapes_are_read_as_they_are_written(shape: list[int], name: str) -> None:
    text = "x".join(map(str, shape))
    assert read_sizes(text) == tuple(shape)
    assert read_input_shape(f"{name}={text}") == (name, tuple(shape))


def test_json_has_no_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump({"value": float("nan")})
