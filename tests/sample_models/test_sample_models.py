"""The sample models are what their README says."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "sample_models"
FILES = sorted(FOLDER.glob("*.onnx"))
NAMES = {
    "ceil_pool",
    "detector_head",
    "digits_dropout2d_dynamo",
    *(
        f"digits_{kind}_{exporter}"
        for kind in ("good", "valid", "patches", "dropout")
        for exporter in ("torchscript", "dynamo")
    ),
    "five_layers_same",
    "five_layers_valid",
    "one_layer_full",
    "one_layer_same",
    "one_layer_valid",
    "position_detector",
    "residual_net",
    "unet_misfit",
}


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """Return `sample_models/check.py`, which needs onnxruntime."""
    pytest.importorskip("onnxruntime")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        return importlib.import_module("check")


def test_all_there_and_small() -> None:
    assert {file.stem for file in FILES} == NAMES
    assert sum(file.stat().st_size for file in FILES) < 3_000_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_sound_and_self_contained(file: Path) -> None:
    model = onnx.load(file, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert [t.name for t in model.graph.initializer if t.external_data] == []
    (opset,) = model.opset_import
    assert opset.domain == ""
    assert 13 <= opset.version <= 20
    assert [n.name for n in model.graph.node if n.doc_string or n.metadata_props] == []
    data = file.read_bytes()
    assert [word for word in (b"/root", b"/home", b"/tmp", b"site-packages") if word in data] == []


@pytest.mark.parametrize(
    ("name", "layers", "padding", "side"),
    [
        ("one_layer_valid", 1, 0, 10),
        ("one_layer_same", 1, 1, 10),
        ("one_layer_full", 1, 2, 10),
        ("five_layers_valid", 5, 0, 28),
        ("five_layers_same", 5, 1, 28),
    ],
)
def test_counting_models_are_as_the_script_makes_them(
    name: str, layers: int, padding: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    handmade = importlib.import_module("handmade")
    assert onnx.load(FOLDER / f"{name}.onnx") == handmade.path_counter(layers, padding, side)


def test_golden_counts(check: ModuleType) -> None:
    assert check.check_golden() is True


def test_position_detector_knows_the_corner(check: ModuleType) -> None:
    session = check.session(check.load("position_detector"))
    found = check.responses(session, np.zeros((1, 1, 10, 10), np.float32), 1.0)[:, :, 0]
    wanted = np.zeros((10, 10))
    wanted[0, 0] = 1
    np.testing.assert_allclose(found, wanted, atol=1e-2)


def test_digits_patches_leave_the_last_rows_unread(check: ModuleType) -> None:
    session = check.session(check.load("digits_patches_torchscript"))
    read = check.influence(session, (1, 1, 29, 29), 1) > 0
    wanted = np.zeros((29, 29), bool)
    wanted[:24, :24] = True
    np.testing.assert_array_equal(read, wanted)


def test_digits_valid_starves_the_corner(check: ModuleType) -> None:
    for exporter in ("torchscript", "dynamo"):
        paths = check.paths(check.load(f"digits_valid_{exporter}"), 29)
        assert paths[0, 0] == pytest.approx(1 / 3481, rel=1e-5)
        assert paths[14, 14] == pytest.approx(1, rel=1e-5)


def test_residual_net_is_even_at_65_only(check: ModuleType) -> None:
    model = check.load("residual_net")
    assert check.halves(check.paths(model, 64, resize=True)) == pytest.approx(1.3434, abs=1e-4)
    assert check.halves(check.paths(model, 65, resize=True)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "optimise", "random"),
    [
        ("digits_good_dynamo", False, False),
        ("digits_dropout_torchscript", True, False),
        ("digits_dropout_torchscript", False, True),
        ("digits_dropout_dynamo", True, False),
        ("digits_dropout_dynamo", False, True),
        ("digits_dropout2d_dynamo", True, True),
        ("digits_dropout2d_dynamo", False, True),
    ],
)
def test_dropout_randomises(check: ModuleType, name: str, *, optimise: bool, random: bool) -> None:
    session = check.session(check.load(name), optimise=optimise)
    image = np.random.default_rng(0).random((1, 1, 29, 29), np.float32)
    results = np.array([check.outputs(session, image) for _ in range(20)])
    assert (len(np.unique(results, axis=0)) > 1) is random


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_readme_tells_of_each(file: Path) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    family = file.stem.removesuffix("_torchscript").removesuffix("_dynamo")
    assert f"`{file.stem}`" in readme or f"`{family}_*`" in readme
