"""Figures as SVG, HTML, PNG and characters: everything is inside, and says what it should."""

from __future__ import annotations

import io
import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hundredweight.client.charts.chart import MOST_POINTS, PALETTE, Chart, Figure, Series, thin
from hundredweight.client.charts.raster import DENSITY, write_png
from hundredweight.client.charts.scene import Dot, Line, Text, lay_out, text_width
from hundredweight.client.charts.svg import write_html, write_svg
from hundredweight.client.charts.terminal import draw_figure

SVG = "{http://www.w3.org/2000/svg}"
STEPS = tuple(map(float, range(10)))


def figure(count: int = 2, charts: int = 1, *, lines: bool = True, points: int = 10) -> Figure:
    series = tuple(
        Series(
            f"run <{n}> & co",
            tuple(map(float, range(points))),
            tuple(n + math.exp(-step / points) for step in range(points)),
            n,
        )
        for n in range(count)
    )
    made = tuple(Chart(f"metric {n}", "step", series, lines=lines) for n in range(charts))
    return Figure("A title", made, tuple(Series(each.name, place=each.place) for each in series), legend_lines=lines)


@pytest.mark.parametrize("charts", [1, 2, 5])
@pytest.mark.parametrize("lines", [True, False])
def test_everything_is_on_the_page(charts: int, lines: bool) -> None:
    scene = lay_out(figure(9, charts, lines=lines))
    for shape in scene.shapes:
        if isinstance(shape, Line):
            assert all(0 <= x <= scene.width and 0 <= y <= scene.height for x, y in shape.points)
        elif isinstance(shape, Dot):
            assert 0 <= shape.x <= scene.width
            assert 0 <= shape.y <= scene.height
        elif not shape.turned:
            width = text_width(shape.text, shape.size)
            left = shape.x - {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
            assert left >= -5
            assert left + width <= scene.width + 5
            assert 0 < shape.y < scene.height


def test_svg_is_xml_with_a_line_an_experiment() -> None:
    root = ET.fromstring(write_svg(lay_out(figure()), "Title <&>"))
    colours = [line.get("stroke") for line in root.iter(f"{SVG}polyline")]
    assert colours.count(PALETTE[0]) == 2
    assert colours.count(PALETTE[1]) == 2
    texts = [text.text for text in root.iter(f"{SVG}text")]
    for text in ("A title", "run <0> & co", "metric 0", "step", "0", "8"):
        assert text in texts
    told = [title.text for title in root.iter(f"{SVG}title")]
    assert "Title <&>" in told
    assert "run <1> & co: step 0, metric 0 2" in told


def test_more_experiments_than_colours_differ_by_dashes() -> None:
    looks = {(each.colour, each.dash) for each in (Series("", place=place) for place in range(28))}
    assert len(looks) == 28
    text = write_svg(lay_out(figure(9)), "")
    assert 'stroke-dasharray="6 3"' in text


def test_html_needs_nothing_else() -> None:
    text = write_html(lay_out(figure()), "Runs", ["run", "loss"], [["<b>", "0.5"]])
    assert "<script" not in text
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "<td>&lt;b&gt;</td><td>0.5</td>" in text


def test_control_characters_reach_no_file() -> None:
    made = Figure("a\x1b[31mb\x00", (Chart("y\x07", series=(Series("s\x1b", (1.0,), (1.0,)),)),))
    text = write_svg(lay_out(made), "t\x01")
    assert not any(ord(character) < 32 and character != "\n" for character in text)
    ET.fromstring(text)


def test_png_shows_the_colours() -> None:
    scene = lay_out(figure(2))
    image = Image.open(io.BytesIO(write_png(scene)))
    assert image.size == (round(scene.width * DENSITY), round(scene.height * DENSITY))
    colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    counts = {colour: count for count, colour in colours}
    for wanted in PALETTE[:2]:
        red, green, blue = (int(wanted[place : place + 2], 16) for place in (1, 3, 5))
        assert counts.get((red, green, blue), 0) > 200
    assert counts[255, 255, 255] > image.width * image.height * 0.8
    # The turned label of the y axis.
    left = image.convert("L").crop((0, 0, 80, image.height))
    assert min(left.tobytes()) < 100


def test_png_of_dashes_and_other_scripts() -> None:
    chart = Chart("損失", series=(Series("模型", STEPS, STEPS, 8),))
    assert Image.open(io.BytesIO(write_png(lay_out(Figure("", (chart,)))))).format == "PNG"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000), st.integers(4, 100))
def test_thinning_keeps_extremes_ends_and_order(values: list[float], most: int) -> None:
    kept = thin(range(len(values)), values, most)
    assert len(kept) <= max(most, 4)
    assert kept == sorted(set(kept))
    assert {kept[0], kept[-1]} == {0, len(values) - 1}
    assert min(values[at] for at in kept) == min(values)
    assert max(values[at] for at in kept) == max(values)


def test_long_curves_stay_small() -> None:
    text = write_svg(lay_out(figure(1, points=100_000)), "")
    assert len(text) < MOST_POINTS * 20


def test_a_logarithmic_axis_has_only_what_is_positive() -> None:
    chart = Chart("y", series=(Series("s", STEPS, (0.0, -1.0, *STEPS[1:9])),), log_y=True)
    assert chart.drawable().series[0].ys == STEPS[1:9]
    nothing = Chart("y", series=(Series("s", (1.0,), (-1.0,)),), log_y=True)
    shapes = lay_out(Figure("", (nothing,))).shapes
    assert any(isinstance(shape, Text) and shape.text == "nothing to draw" for shape in shapes)


def test_on_a_terminal() -> None:
    text = draw_figure(figure(1), 60, 8)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0].strip() == "metric 0"
    assert any("⠁" <= character <= "⣿" for character in text)
    assert lines[-1] == "━━ run <0> & co"
    letters = draw_figure(figure(2), 60, 8)
    assert letters.splitlines()[-2:] == ["A run <0> & co", "B run <1> & co"]
    assert "\x1b[34m" in draw_figure(figure(2), 60, 8, colour=True)
    dots = Chart("acc", "opt", (Series("", (0.0, 1.0), (0.5, 0.7)),), lines=False, categories=("adamw", "sgd"))
    assert "adamw" in draw_figure(Figure("", (dots,)), 60, 8)
    assert "step" in draw_figure(Figure("", (Chart("y"),)), 10, 3)
