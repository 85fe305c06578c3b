"""``scotoma measure`` as a command: its calls, its files, its exit status and its messages."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import Network

from scotoma.cli import main
from scotoma.measure import picture
from scotoma.measure.prober import Prober

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, str, str]]

SAMPLES = Path(__file__).parents[1] / "sample_models"
ONE = str(SAMPLES / "one_layer_same.onnx")
FIVE = str(SAMPLES / "five_layers_valid.onnx")
COUNT = ["--input", "zeros", "--delta", "1", "--functional", "sum"]


@pytest.fixture
def call(call_and_draw: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command without drawing, which takes longer than everything else."""
    monkeypatch.setattr(picture, "render", lambda *_: b"drawn")
    return call_and_draw


@pytest.fixture
def call_and_draw(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run the command on a model with its files in the folder ``out``."""

    def run(model: str, *options: str) -> tuple[int, str, str]:
        status = main(["measure", model, "--out", str(tmp_path / "out"), *options])
        return status, *capsys.readouterr()

    return run


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").iterdir())


def test_a_measurement_with_all_its_files(call_and_draw: Call, tmp_path: Path) -> None:
    status, out, err = call_and_draw(FIVE, *COUNT, "--resolution", "full", "--format", "json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    influence = np.load(tmp_path / "out" / "influence.npy")
    assert (document["passes"], document["functional"]) == (121, "sum")
    assert (influence[0, 0], influence[0, 14], influence[14, 14]) == (1, 243, 59049)
    assert (tmp_path / "out" / "influence.png").read_bytes().startswith(b"\x89PNG")
    assert files(tmp_path) == ["influence.npy", "influence.png"]


def test_the_text_says_what_a_person_needs_first(call: Call, tmp_path: Path) -> None:
    status, out, _ = call(FIVE, *COUNT)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == FIVE
    assert lines[2:4] == [
        "  target 'feature_map': the last feature map",
        "  functional sum; zeros; forward difference, step 1",
    ]
    assert lines[4].startswith("  all 784 pixels in 177 passes, several at once, ")
    table = {line[:22].strip(): line.split()[-4:] for line in lines if line[:1] != " "}
    assert table["corner / centre"][-3:] == ["1.694e-05", "8", "1.694e-05"]
    assert f"wrote {tmp_path / 'out' / 'influence.png'}" in lines


def test_options_reach_the_measurement(call_and_draw: Call) -> None:
    options = [
        "--inputs", "2", "--seed", "5", "--value-range", "0:1", "--resolution", "3",
        "--channels", "each", "--difference", "forward", "--tensor", "feature_map",
        "--format", "json", "--jobs", "2",
        "--no-multiplex", "--picture", "svg", "--theme", "dark", "--budget", "1.5m",
    ]  # fmt: skip
    status, out, _ = call_and_draw(ONE, *options)
    document = json.loads(out)
    assert status == 0
    assert [item["seed"] for item in document["inputs"]] == [5, 6]
    assert document["resolution"] == {
        "full": False, "samples": [3, 3], "probed": 9, "pixels": 100,
    }  # fmt: skip
    assert document["passes_by_kind"]["pixels"] == 18
    assert (document["channels"], document["difference"]) == ("each", "forward")
    assert (document["multiplexed"], document["jobs"]) == (False, 2)
    assert document["budget"] == {"seconds": 90.0, "passes": None}


def test_a_model_from_standard_input(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def pipe() -> None:
        stream = io.TextIOWrapper(io.BytesIO(Path(FIVE).read_bytes()))
        monkeypatch.setattr(sys, "stdin", stream)

    pipe()
    status, out, _ = call("-", *COUNT, "--format", "json")
    assert status == 0
    document = json.loads(out)
    assert (document["model"]["path"], document["influence"]["max"]) == ("-", 59049)
    pipe()  # another size and another tensor: the bytes in memory are edited
    status, out, _ = call("-", *COUNT, "--size", "14x16", "--format", "json", "--tensor", "map2")
    assert (status, json.loads(out)["output"]) == (0, "map2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "half"], "resolution must be 'full' or a number, not 'half'"),
        (["--resolution", "0"], "resolution must be at least 1, not 0"),
        (["--delta", "0"], "delta must be a finite number other than 0, not 0.0"),
        (["--delta", "1e-30"], "delta"),
        (["--tensor", "nope"], "the model has no tensor or node 'nope'"),
        (["--functional", "mean"], "unknown functional 'mean'"),
        (["--functional", "logit"], "a logit needs a class vector"),
        (["--input", "nowhere.png"], "there is no file or folder 'nowhere.png'"),
        (["--fix", "other=1"], "other"),
        (["--passes", "0"], "passes must be at least 1, not 0"),
        (["--budget", "0s"], "budget must be a number of seconds above 0, not 0"),
        (["--seed", "-1"], "seed must be at least 0, not -1"),
    ],
)
def test_a_call_that_makes_no_sense_leaves_nothing(
    call: Call, tmp_path: Path, options: list[str], message: str
) -> None:
    status, out, err = call(ONE, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "soon"], "'soon' is not a time such as 60s, 2m or 1.5h"),
        (["--mean", "a,b"], "'a,b' is not made of numbers with commas between"),
        (["--value-range", "1"], "'1' is not LOW:HIGH, such as 0:255"),
        (["--fix", "gain"], "'gain' is not NAME=NUMBER or NAME=FILE.npy"),
        (["--fix", "a=1", "--fix", "a=2"], "the input 'a' is fixed twice"),
    ],
)
def test_values_that_cannot_be_read(
    call: Call, tmp_path: Path, options: list[str], message: str
) -> None:
    status, _, err = call(ONE, *options)
    assert status == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_measured_leaves_nothing(call: Call, tmp_path: Path) -> None:
    status, out, err = call(str(tmp_path / "missing.onnx"))
    assert (status, out, err.count("\n")) == (3, "", 1)
    status, _, err = call(ONE, "--method", "perturb", "--passes", "3")
    assert status == 3
    assert err == (
        f"scotoma: {ONE}: nothing could be measured within the limits: one pixel takes 8 passes;"
        " allow more with --budget or --passes\n"
    )


def test_a_folder_that_cannot_be_made(call: Call, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    status, out, err = call(ONE)
    assert (status, out) == (2, "")
    assert err.startswith(f"scotoma: cannot write into '{tmp_path / 'out'}': ")


def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--no-multiplex", "--resolution", "full", "--format", "json"]
    respond, calls = Prober.respond, []

    def interrupted(self: Prober, plan: Any, indices: Any) -> Any:
        calls.append(indices)
        if len(calls) > 30:
            raise KeyboardInterrupt
        return respond(self, plan, indices)

    with monkeypatch.context() as patch:
        patch.setattr(Prober, "respond", interrupted)
        status, out, err = call(ONE, *options)
    assert status == 130
    assert err == ("scotoma: interrupted after 240 of 800 passes; --resume goes on from here\n")
    document = json.loads(out)
    assert (document["complete"], document["resolution"]["probed"]) == (False, 30)
    assert files(tmp_path) == [
        "influence.journal", "influence.npy", "influence.png", "probed.npy",
    ]  # fmt: skip
    status, out, err = call(ONE, *options, "--resume")
    assert (status, err) == (0, "")
    resumed = np.load(tmp_path / "out" / "influence.npy")
    assert files(tmp_path) == ["influence.npy", "influence.png"]
    assert json.loads(out)["complete"] is True
    call(ONE, *options)
    assert np.load(tmp_path / "out" / "influence.npy").tobytes() == resumed.tobytes()


def test_a_limit_in_the_way_of_what_was_asked_for_is_a_failure(call: Call) -> None:
    options = ["--resolution", "full", "--no-multiplex", "--passes", "80", "--format", "json"]
    status, out, err = call(ONE, *options)
    assert status == 3
    assert err == (
        "scotoma: the limit was reached after 80 of 800 passes; --resume goes on from here\n"
    )
    assert json.loads(out)["complete"] is False
    # without --resolution the limit is what was asked for
    assert call(ONE, "--passes", "80", "--no-multiplex")[0] == 0


def test_the_journal_of_another_plan_is_refused(call: Call, tmp_path: Path) -> None:
    assert call(ONE, "--passes", "80", "--no-multiplex")[0] == 0
    status, _, err = call(ONE, "--no-multiplex", "--resume", "--seed", "3")
    assert status == 2
    assert err.startswith("scotoma: cannot go on from '")
    assert "without --resume the measurement begins anew" in err


def test_the_bar_shows_on_a_terminal_only(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(ONE)[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    status, _, err = call(ONE, "--passes", "40")
    assert status == 0
    assert "measuring" in err
    assert call(ONE, "--no-progress")[2] == ""


def test_a_size_at_which_an_operator_cannot_run_is_a_wrong_call(call: Call) -> None:
    model = str(SAMPLES / "unet_misfit.onnx")
    code, out, err = call(model, "--size", "3x3")
    said = "'node_max_pool2d_1' (MaxPool) cannot run at this size: its window spans 2 cells"
    assert (code, out) == (2, "")
    assert err == f"scotoma: {model}: {said}, the input has 1\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tensor", "nope"], "the model has no tensor or node 'nope'; its outputs are "),
        (["--functional", "logit"], "a logit needs a class vector, and no output is one "),
        (["--functional", "logit:3", "--tensor", "feature_map"], "a logit needs a class vector, "),
        (["--unit", "30,30"], "--unit 30,30: 'feature_map' has 18x18 places, counted from 0"),
        (["--fix", "other=1"], "--fix other=…: there is no input 'other'; "),
        (["--mean", "0,0"], "--mean gives 2 numbers, the input has 1 channels"),
    ],
)
def test_what_does_not_fit_the_model_names_it(call: Call, options: list[str], said: str) -> None:
    status, out, err = call(FIVE, *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"scotoma: {FIVE}: {said}")


def test_a_model_without_an_image_is_named(call: Call, tmp_path: Path) -> None:
    net = Network(1, 8)
    net.add("Relu", "x")
    path = tmp_path / "flat.onnx"
    path.write_bytes(net.model().SerializeToString())
    assert call(str(path)) == (
        3, "", f"scotoma: {path}: the model has no spatial input whose pixels could be perturbed\n",
    )  # fmt: skip


def test_what_is_wrong_with_the_call_alone_names_no_model(call: Call) -> None:
    said = "scotoma: there is no file or folder 'nowhere.png' (nor is it random, zeros or mean)\n"
    assert call(FIVE, "--input", "nowhere.png") == (2, "", said)
