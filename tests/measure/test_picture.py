"""Pictures: what is marked, that every map can be drawn, that bytes repeat."""

from __future__ import annotations

import io

import numpy as np
import programs
import pytest
from PIL import Image

from scotoma.measure.picture import KINDS, THEMES, Row, Sheet, render
from scotoma.measure.picture.band import band
from scotoma.measure.picture.compose import in_table, plain, written
from scotoma.measure.picture.parts import legend, percent
from scotoma.measure.picture.scale import scale, wants_log
from scotoma.measure.picture.theme import CONTRADICTORY, UNMOVED, UNREAD
from scotoma.metrics import Figure

RNG = np.random.default_rng(0)


def make(
    values: np.ndarray,
    graph: np.ndarray | None = None,
    probed: np.ndarray | None = None,
    title: str = "Pixel influence in m.onnx",
) -> Sheet:
    values = np.asarray(values, dtype=float)
    known = np.ones(values.shape, bool) if probed is None else probed
    return Sheet(
        title=title,
        lines=("first", "second"),
        values=values,
        probed=known,
        dead=known & (values == 0),
        quantity="change of the target's sum",
        structural=graph,
        structural_dead=None if graph is None else graph == 0,
        rows=(Row("corner / centre", "0.1 ± 0.01", "0.2"),),
    )


def pixels(sheet: Sheet, theme: str = "light") -> np.ndarray:
    data = render(sheet, "png", theme)
    assert data is not None
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def coloured(picture: np.ndarray, colour: str) -> np.ndarray:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return np.asarray((picture == wanted).all(axis=-1))


def test_dead_pixels_have_colours_of_their_own() -> None:
    graph = np.ones((8, 8))
    graph[-1] = graph[:, -1] = 0  # 15 pixels without a path
    values = graph.copy()
    values[2, 3] = 0  # one with a path that moved nothing
    picture = pixels(make(values, graph))
    unread, unmoved = coloured(picture, UNREAD), coloured(picture, UNMOVED)
    side = unread.sum(axis=1).max() / 2  # the last row of both maps: twice the width of a map
    assert side > 400
    # both maps, besides the frame, the marks outside it and the patch of the legend
    assert unread.sum() == pytest.approx(2 * side**2 * 15 / 64, rel=0.05)
    assert unmoved.sum() == pytest.approx(side**2 / 64, rel=0.15)
    assert coloured(picture, CONTRADICTORY).sum() < side


def test_a_contradiction_is_shown() -> None:
    graph = np.ones((8, 8))
    graph[3] = 0
    sheet = make(np.ones((8, 8)), graph)
    black = coloured(pixels(sheet), CONTRADICTORY).sum(axis=1).max()
    assert black > 400
    assert [meaning for _, meaning in legend(sheet)] == [
        "no path to the output: 8 px (12.5%)",
        "no path, but moved the output: 8 px (12.5%)",
    ]


def test_the_legend_counts_probed_pixels_where_not_all_were() -> None:
    probed = np.zeros((10, 10), bool)
    probed[::2] = True
    values = np.ones((10, 10))
    values[0] = 0
    sheet = make(values, np.ones((10, 10)), probed)
    assert legend(sheet) == [(UNMOVED, "has a path, but moved nothing: 10 probed px (20.0%)")]
    alone = make(values, None, probed)
    assert legend(alone) == [(UNMOVED, "moved nothing: 10 probed px (20.0%)")]
    assert legend(make(np.ones((4, 4)))) == []


def test_one_dead_row_of_a_large_map_stays_visible() -> None:
    values = np.ones((1000, 1000))
    values[500] = 0
    dead = coloured(pixels(make(values)), UNMOVED)
    assert dead.sum(axis=1).max() > 400


@pytest.mark.parametrize(("shape", "top"), [((400, 400), 2.0), ((2000,), 1e4)], ids=str)
def test_a_fine_ripple_of_the_graph_does_not_hide_what_was_measured(
    shape: tuple[int, ...], top: float
) -> None:
    """A line that fills its panel is drawn as a mean within a band."""
    values = np.linspace(1, 9, shape[-1]) * np.ones(shape)
    rippled = np.where(np.arange(shape[-1]) % 2, 1.0, top) * np.ones(shape)
    colour = THEMES["light"].measured
    alone = coloured(pixels(make(values)), colour).sum()
    picture = pixels(make(values, rippled))
    assert coloured(picture, colour).sum() > 0.5 * alone
    assert 0.1 * alone < coloured(picture, THEMES["light"].graph).sum() < 1.5 * alone


def test_the_band_of_a_ripple_holds_its_line() -> None:
    line = np.where(np.arange(600) % 8 < 4, 1.0, 3.0) * np.linspace(1, 2, 600)
    found = band(line, 3.0)
    assert found is not None
    inside = slice(20, -20)
    trend = 2 * np.linspace(1, 2, 600)[inside]
    assert (found.low <= line).all()
    assert (line <= found.high).all()
    assert np.abs(found.mean[inside] / trend - 1).max() < 0.03
    assert band(line, 30.0) is None  # wide enough to be drawn
    assert band(line + np.nan, 3.0) is None
    assert band(5 + 0.01 * line, 3.0) is None  # a line to the eye


@pytest.mark.parametrize("theme", THEMES)
def test_the_page_has_the_colour_of_the_theme(theme: str) -> None:
    picture = pixels(make(RNG.random((6, 6)), np.ones((6, 6))), theme)
    assert coloured(picture[:10], THEMES[theme].page).all()
    assert coloured(picture, THEMES[theme].page).mean() > 0.3


SHAPES = [(1,), (500,), (1, 1), (10, 10), (3, 900), (900, 2), (40, 100), (100, 40), (4, 5, 6)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_can_be_drawn(shape: tuple[int, ...]) -> None:
    values = RNG.random(shape) + 0.1
    picture = pixels(make(values, values / values.mean()))
    assert 400 < picture.shape[0] < 2200
    assert 900 < picture.shape[1] < 2200
    # nothing is cut off: the margin is empty all around
    rim = (picture[:12], picture[-12:], picture[:, :12], picture[:, -6:])
    assert all((side == 255).all() for side in rim)


MAPS = {
    "all dead": np.zeros((9, 9)),
    "constant": np.ones((9, 9)),
    "subnormal": np.full((9, 9), 5e-324),
    "huge": np.full((9, 9), 1e308),
    "whole range": 10.0 ** RNG.uniform(-307, 307, (9, 9)),
    "one live": np.eye(1, 81).reshape(9, 9),
    "decades": 10.0 ** np.arange(81).reshape(9, 9),
}


HARD = ("all dead", "subnormal", "whole range")


@pytest.mark.parametrize(
    ("name", "rank"), [*((name, 2) for name in MAPS), *((name, r) for name in HARD for r in (1, 3))]
)
def test_every_map_can_be_drawn(name: str, rank: int) -> None:
    values = MAPS[name].reshape([(81,), (9, 9), (3, 3, 9)][rank - 1])
    graph = np.zeros(values.shape) if name == "all dead" else np.ones(values.shape)
    assert pixels(make(values, graph)).std() > 5


def test_more_axes_have_no_picture() -> None:
    assert render(make(np.ones((2, 2, 2, 2)))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_sheet_gives_the_same_bytes(kind: str) -> None:
    sheet = make(RNG.random((12, 12)), np.ones((12, 12)))
    first = render(sheet, kind)
    assert first == render(sheet, kind)
    assert first is not None
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    for word in (b"matplotlib v", b"Matplotlib v", b"CreationDate", b"dc:date"):
        assert word not in first


def test_names_are_no_markup() -> None:
    svg = render(make(np.ones((4, 4)), title="$x^2$ a_b <script>&\\frac{1}{2} 日本"), "svg")
    assert svg is not None
    assert b"<script>" not in svg
    assert render(make(np.ones((4, 4)), title="$\\notacommand{$"), "pdf") is not None


def test_scales() -> None:
    assert wants_log(np.array([1.0, 299.0])) == (False,)
    assert wants_log(np.array([1.0, 301.0])) == (True,)
    assert wants_log(np.array([0.0, 5.0]), np.zeros(3)) == (False, False)
    assert scale(np.array([0.0, 4.0, 8.0]), log=True).clipped
    # a linear scale ends where all but two in a thousand do, if those stand far above
    peaks = scale(np.concatenate([np.full(2000, 1.0), [50.0]]), log=False)
    assert (peaks.high, peaks.peaks) == (1.0, True)
    assert scale(np.linspace(0, 1, 2000), log=False).high == 1


def test_figures_in_words() -> None:
    assert written(Figure(12.3456, 0.5, 4)) == "12.35 ± 0.50"
    assert written(Figure(-3.456, 12.0, 4)) == "-3 ± 12"
    assert written(Figure(123456.0, 3.0, 4)) == "1.235e+05"
    assert written(Figure(-3.5e-6, 1.8e-6, 4)) == "-3.5e-06 ± 2e-06"
    assert written(Figure(1e-17, 0.0, 4)) == "0"
    offset = "centroid_offset_rows"
    shown = [(3.3e-7, 3.2e-7), (3.3e-7, 2e-6), (2e-6, None), (None, None)]
    assert [in_table({offset: Figure(*pair, 4)}, offset) for pair in shown] == [
        "0", "3.3e-07 ± 2e-06", "2e-06 (error unknown)", "–",
    ]  # fmt: skip
    assert (percent(0.0), percent(1e-9), percent(0.99999)) == ("0.0%", "< 0.1%", "> 99.9%")
    assert plain("x" * 30, 9) == "xxxx…xxxx"


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the maps of a sheet must have one shape, not "):
        make(np.ones((3, 3)), np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"^unknown kind of picture 'gif': use png, svg, pdf$"):
        render(make(np.ones((3, 3))), "gif")
    with pytest.raises(ValueError, match=r"^unknown theme 'pink': use light, dark$"):
        render(make(np.ones((3, 3))), "png", "pink")


def test_pyplot_is_never_touched() -> None:
    code = (
        "import sys, numpy as np\n"
        "from scotoma.measure.picture import Sheet, render\n"
        "one = np.ones((4, 4))\n"
        "png = render(Sheet('t', (), one, one > 0, one < 0, 'q', one, one < 0))\n"
        "print(png[:4], 'matplotlib.pyplot' in sys.modules)"
    )
    assert programs.python("-c", code, check=True).stdout == "b'\\x89PNG' False\n"
