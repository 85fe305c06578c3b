from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from example_rules import LostPixels
from PIL import Image
from text_models import facts_of

from scotoma.facts import Facts
from scotoma.findings import Finding, Location, Severity
from scotoma.loader import load_model
from scotoma.measure.picture import Row, Sheet
from scotoma.report.html.pictures import Picture, pictures
from scotoma.report.html.portrait import MOST_LAYERS, Portrait, portrait_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = Path(__file__).parents[2] / "sample_models"
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"

UNREAD_ROW = """
m (float[1,1,8,8] x) => (float[1,1,3,3] y)
<float[1,1,3,3] w>
{ [conv] y = Conv <kernel_shape = [3, 3], strides = [2, 2]> (x, w) }
"""


def found_at(node: str, severity: Severity) -> Finding:
    return LostPixels().finding(Location(node, "Conv"), "m", remedy="r", severity=severity)


def draw(portrait: Portrait, findings: Sequence[Finding] = ()) -> tuple[Picture, ...]:
    return pictures(portrait, None, findings, "m1")


def image_of(picture: Picture) -> NDArray[np.uint8]:
    """Return the pixels of the first image in a picture."""
    image = next(ET.fromstring(picture.svg).iter(f"{SVG}image"))
    data = base64.b64decode(image.attrib[LINK].partition(",")[2])
    pixels: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    flipped = "-1" in image.attrib.get("transform", "")
    return pixels[::-1] if flipped else pixels


def test_a_map_shows_dead_lines_where_they_are() -> None:
    walk, growth = draw(portrait_of(facts_of(UNREAD_ROW)))
    pixels = image_of(walk)
    dead = (pixels == (0xFF, 0x2D, 0x55)).all(axis=2)
    expected = np.zeros((8, 8), bool)
    expected[7] = expected[:, 7] = True
    assert pixels.shape == (8, 8, 3)
    assert dead.tolist() == expected.tolist()
    assert walk.legend == (("unread", "no path to any output"),)
    assert walk.caption[0].endswith("No path to any output: row 7, column 7.")
    name = ET.fromstring(walk.svg).attrib["aria-label"]
    assert name == (
        "What each pixel counts, by the graph, 8 rows by 8 columns. corner over centre 0.1111; "
        "edge over centre 0.3333; left over right 1.25; top over bottom 1.25; pixels without a "
        "path 23.44%; absorbed by padding 0.00%; no path to any output: row 7, column 7."
    )
    assert growth.title == "How the receptive field grows"


def test_the_growth_marks_the_worst_finding_of_a_layer() -> None:
    portrait = portrait_of(Facts.of(load_model(str(SAMPLES / "five_layers_valid.onnx"))))
    rows = [(layer["node"], layer["receptive_field"]) for layer in portrait.layers]
    assert rows == [(None, [1, 1]), *((f"conv{n}", [2 * n + 1] * 2) for n in range(1, 6))]
    findings = [
        found_at("conv2", Severity.NOTE), found_at("conv4", Severity.ERROR),
        found_at("conv4", Severity.NOTE), found_at("not there", Severity.ERROR),
    ]  # fmt: skip
    growth = draw(portrait, findings)[-1]
    (caption,) = growth.caption
    assert caption.startswith("At most 11×11 px, at layer 5 of 5; the image has 28×28. ")
    assert caption.endswith("Findings at layers 2 (note), 4 (error).")
    alone = draw(portrait, findings[:1])[-1]
    assert alone.caption[0].endswith("Findings at layer 2 (note).")
    assert draw(portrait)[-1].caption[0].endswith("No layer has a finding.")
    root = ET.fromstring(growth.svg)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"note", "error", "size of the image", "receptive field"} <= set(texts)
    assert "warning" not in texts
    classes = " ".join(element.get("class", "") for element in root.iter())
    assert "stroke-error" in classes
    assert "stroke-note" in classes


def test_an_operator_without_a_row_is_marked_at_the_last_one_before_it() -> None:
    text = UNREAD_ROW.replace("{ [conv] y =", "{ [conv] c =").replace(
        "(x, w)", "(x, w) [r] y = Relu (c)"
    )
    portrait = portrait_of(facts_of(text))
    assert [layer["node"] for layer in portrait.layers] == [None, "conv"]
    assert portrait.nodes == {"conv": 1, "r": 1}
    assert portrait.tensors == {"x": 0, "c": 1, "y": 1}
    places = [Location("r"), Location(None, tensor="c"), Location(None), Location("c", tensor="c")]
    assert [portrait.layer_of(place) for place in places] == [1, 1, None, None]


def test_layers_are_listed_up_to_a_number() -> None:
    count = MOST_LAYERS + 20
    names = ["x", *(f"t{n}" for n in range(count - 1)), "y"]
    body = " ".join(
        f"[c{n}] {names[n + 1]} = Conv <kernel_shape = [1, 1]> ({names[n]}, w)"
        for n in range(count)
    )
    text = f"m (float[1,1,4,4] x) => (float[1,1,4,4] y) <float[1,1,1,1] w> {{ {body} }}"
    portrait = portrait_of(facts_of(text))
    assert len(portrait.layers) == MOST_LAYERS
    assert portrait.left_out == count + 1 - MOST_LAYERS
    assert max(portrait.nodes.values()) == MOST_LAYERS - 1


def test_a_model_without_an_image_has_no_pictures() -> None:
    text = "m (float[1,8] x) => (float[1,8] y) { y = Relu (x) }"
    portrait = portrait_of(facts_of(text))
    assert (portrait.grids, portrait.layers, portrait.image) == ((), (), ())
    assert draw(portrait) == ()


def test_a_measured_map_stands_beside_that_of_the_graph() -> None:
    unread = np.zeros((8, 8), bool)
    unread[7] = True
    dead = unread.copy()
    dead[:, 0] = True
    quantity = f"norm of the change,\nper unit {'of something ' * 5}"
    sheet = Sheet(
        title="t", lines=("8 x 8 px, 4 inputs",), values=np.where(dead, 0.0, 1.0), dead=dead,
        probed=np.ones((8, 8), bool), quantity=quantity, structural=None,
        structural_dead=unread, rows=(Row("dead pixels", "23%", "12%"),),
    )  # fmt: skip
    walk, measured, growth = pictures(portrait_of(facts_of(UNREAD_ROW)), sheet, (), "m1")
    titles = (walk.title, measured.title, growth.title)
    assert titles == (
        "What each pixel counts, by the graph",
        "What each pixel does, measured",
        "How the receptive field grows",
    )
    assert measured.caption == ("8 x 8 px, 4 inputs", "Moved nothing: row 7, column 0.")
    assert [name for name, _ in measured.legend] == ["unread", "unmoved"]
    pixels = image_of(measured)
    assert (pixels[7] == (0xFF, 0x2D, 0x55)).all()
    assert (pixels[:7, 0] == (0xFF, 0xB0, 0xC4)).all()
    assert "dead pixels 23%" in ET.fromstring(measured.svg).attrib["aria-label"]
    texts = ["".join(text.itertext()) for text in ET.fromstring(measured.svg).iter(f"{SVG}text")]
    first = "norm of the change, per unit of something of something"
    assert [text for text in texts if "something" in text] == [
        first,
        "of something of something of something",
    ]


@pytest.mark.parametrize("name", ["unet_misfit", "digits_valid_dynamo"])
def test_a_picture_brings_no_style_and_names_that_are_its_own(name: str) -> None:
    portrait = portrait_of(Facts.of(load_model(str(SAMPLES / f"{name}.onnx"))))
    identifiers: list[str] = []
    for picture in draw(portrait, [found_at("node_cat", Severity.NOTE)]):
        root = ET.fromstring(picture.svg)
        identifiers += [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        assert root.attrib["role"] == "img"
        assert not any("style" in element.attrib for element in root.iter())
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "g", "path", "text", "image", "use", "defs", "clipPath", "rect"}
        # Nothing is in a colour that stands for a class, and all that is referred to is there.
        assert not re.search("#00000[1-8]", picture.svg)
        referred = set(re.findall(r"url\(#(.+?)\)", picture.svg))
        referred |= {e.attrib[LINK][1:] for e in root.iter(f"{SVG}use")}
        assert referred == {e.attrib["id"] for e in root.iter() if "id" in e.attrib}
        assert referred
    assert len(identifiers) == len(set(identifiers))
    assert all(identifier.startswith("m1") for identifier in identifiers)


def test_the_same_picture_has_the_same_bytes_whatever_matplotlib_is_set_to() -> None:
    portrait = portrait_of(facts_of(UNREAD_ROW))
    before = draw(portrait)
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.grid": True}):
        assert draw(portrait) == before
