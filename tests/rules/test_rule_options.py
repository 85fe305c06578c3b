"""Every option of every rule decides: set in a configuration, it changes what a fixture gets."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from scotoma.cli import main
from scotoma.registry import load_rules
from scotoma.testing import read_fixture, read_text_model

FOLDER = Path(__file__).parent
RULES = load_rules()

N, W, E = "note", "warning", "error"

# Rule, fixture, option; a value that changes nothing but the limit that is shown; one that does;
# what is found (severity, places) with the first value and with the second.
CASES = [
    ("aliased-downsampling", "pool_and_projection", "limit", 0.75, 1.25, [(N, 2)], [(N, 1)]),
    ("border-dimming-pool", "counted", "gain", 0.5, 0.4, [(W, 1)], []),
    ("border-dimming-pool", "counted", "limit", 0.35, 0.4, [(W, 1)], [(N, 1)]),
    ("border-layer", "third_layer", "limit", 0.5, 0.6, [(N, 2)], []),
    ("ceil-mode-partial-window", "signal", "limit", 1, 2, [(N, 1)], []),
    ("checkerboard-upsampling", "kernel_3_stride_2", "limit", 1.25, 1.4, [(W, 1)], []),
    ("cropped-input", "centre_crop", "limit", "3/8", "7/16", [(W, 1)], []),
    ("dead-kernel-taps", "a_small_share", "limit", "8/297", "7/297", [(N, 1)], [(W, 1)]),
    ("dilation-gridding", "dilations_1_2_9", "limit", 0.71, 0.7, [(W, 1)], []),
    ("dilation-gridding", "second_map", "maps", 2, 1, [(W, 2)], []),
    ("even-kernel", "drift_beyond_a_pixel", "limit", 1.25, 1.5, [(W, 3)], [(N, 3)]),
    ("frozen-dropout-mask", "places", "deviations", 3.5, 0, [(E, 1)], []),
    ("frozen-dropout-mask", "places", "largest-share", 0.6, 0.5, [(E, 1)], []),
    ("frozen-dropout-mask", "places", "least-share", 0.5, 0.6, [(E, 1)], []),
    ("indivisible-input-size", "cropped_to_fit", "limit", 0, 1, [(W, 1)], []),
    ("misaligned-merge", "shifted_branch", "limit", 0.75, 1, [(W, 1)], [(N, 1)]),
    ("misaligned-merge", "shifted_branch", "limit-px", 0.75, 1, [(W, 1)], [(N, 1)]),
    ("one-sided-padding", "before_only", "limit", 1.5, 2, [(W, 2)], []),
    ("position-leak", "padding_at_the_end_only", "limit", "1/3", "9/25", [(N, 2)], []),
    ("resize-skips-pixels", "nearest_by_a_half", "limit", 0.5, 0.75, [(W, 1)], []),
    ("shifted-output-grid", "padded_strides", "limit", 1.25, 1.5, [(N, 1)], []),
    ("shifted-resize", "asymmetric_linear", "limit", 0.25, 0.26, [(W, 1)], []),
    ("short-receptive-field", "gate", "limit", 0.25, "3/16", [(N, 1)], []),
    ("uneven-padding", "one_finding_for_all_layers", "limit", 1, 2, [(N, 2)], []),
    ("unread-pixels", "crop", "limit", "3/8", "7/16", [(W, 1)], []),
    ("unwritten-output", "output_padding", "limit", "24/169", "25/169", [(W, 1)], []),
    ("valid-padding-blind-spot", "two_valid_layers", "limit", 0.95, 0.97, [(W, 2)], []),
    ("zero-pad-before-max-pool", "signed_input", "limit", "3/8", "28/64", [(W, 2)], []),
]
UNSEEN = {
    ("dilation-gridding", "maps"), ("frozen-dropout-mask", "deviations"),
    ("frozen-dropout-mask", "largest-share"), ("indivisible-input-size", "limit"),
}  # fmt: skip
"""Options that are no limit of a measured number."""
IN_OTHER_UNITS = {("short-receptive-field", "limit"): 4, ("zero-pad-before-max-pool", "limit"): 24}
"""What is shown as the limit in the unit of the measured number."""


def verdict(
    rule: str, case: str, option: str, value: object, folder: Path, capsys: Any
) -> tuple[list[tuple[str, int]], list[Any]]:
    """Lint a fixture with an option; return severities with places, and the limits shown."""
    path = folder / "model.onnx"
    model = read_text_model(read_fixture(FOLDER / rule / f"{case}.onnxtxt").text)
    path.write_bytes(model.SerializeToString())
    said = f"'{value}'" if isinstance(value, str) else value
    (folder / "scotoma.toml").write_text(f"[rules.{rule}]\n{option} = {said}\n")
    main(["lint", str(path), "--select", rule, "--format", "json", "--task", "dense"])
    (report,) = json.loads(capsys.readouterr().out)["models"]
    assert report["rule_errors"] == []
    findings = report["findings"]
    limits = [m["limit"] for finding in findings for m in finding["measurements"]]
    return [(f["severity"], len(f["locations"])) for f in findings], limits


@pytest.mark.parametrize("tried", CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
def test_an_option_decides(tried: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule, case, option, keeps, changes, before, after = tried
    found, limits = verdict(rule, case, option, keeps, tmp_path, capsys)
    assert found == before
    if (rule, option) not in UNSEEN:
        shown = IN_OTHER_UNITS.get((rule, option), Fraction(keeps))
        numbers = [Fraction(limit) for limit in limits if limit is not None]
        assert any(abs(float(number - shown)) < 1e-9 for number in numbers)
    assert verdict(rule, case, option, changes, tmp_path, capsys)[0] == after


def test_every_option_is_tried() -> None:
    declared = {(r.meta.name, o.name) for r in RULES.rules for o in r.declared_options}
    assert sorted({(case[0], case[2]) for case in CASES}) == sorted(declared)


@pytest.mark.parametrize("rule", [r for r in RULES.rules if r.options], ids=lambda r: r.meta.name)
def test_nonsense_is_refused_and_the_page_names_the_options(rule: Any) -> None:
    page = "\n".join(rule.documentation.sections.values())
    for item, declared in zip(fields(rule.options), rule.declared_options, strict=True):
        assert f"``{declared.name}``" in page
        least, most = item.metadata["least"], item.metadata["most"]
        assert least is not None
        rule.options(**{item.name: least})
        for wrong in [least - 1, float("nan"), *([most + 1] if most is not None else [])]:
            with pytest.raises(ValueError, match=f"^{declared.name}: expected {least}"):
                rule.options(**{item.name: wrong})


def test_a_configuration_with_nonsense_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    model = read_text_model(read_fixture(FOLDER / "unread-pixels" / "crop.onnxtxt").text)
    path.write_bytes(model.SerializeToString())
    (tmp_path / "scotoma.toml").write_text("[rules.unread-pixels]\nlimit = 1.5\n")
    assert main(["lint", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    said = "rules.unread-pixels: limit: expected 0 to 1, got 3/2\n"
    assert captured.err.endswith(said)
