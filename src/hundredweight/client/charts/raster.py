"""A scene as PNG, by Pillow (the extra `plot`): anti-aliased lines and text are its work, not ours.

Everything is drawn several times as large and reduced, since Pillow smooths text alone.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.client.charts.scene import PAPER, Dot, Line, Scene, Text

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

DENSITY = 2
"""Pixels of the file a unit of the scene."""
_OVER = 2
_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "msyh.ttc")
"""Asked for where a text has letters that Pillow's own font lacks."""


class NoRaster(UsageError):
    """PNG needs Pillow, which is not installed."""

    hint = "run \"pip install 'hundredweight[plot]'\", or write SVG or HTML, which need nothing"

    def __init__(self) -> None:
        super().__init__("Pillow, which draws PNG, is not installed")


def write_png(scene: Scene) -> bytes:
    """Raises `NoRaster`."""
    try:
        from PIL import Image, ImageDraw  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NoRaster from error
    scale = DENSITY * _OVER
    image = Image.new("RGB", (round(scene.width * scale), round(scene.height * scale)), PAPER)
    pen = _Pen(ImageDraw.Draw(image), scale)
    for shape in scene.shapes:
        if isinstance(shape, Line):
            pen.line(shape)
        elif isinstance(shape, Dot):
            pen.dot(shape)
        elif shape.turned:
            _turned(image, shape, pen)
        else:
            pen.text(shape)
    small = image.resize((image.width // _OVER, image.height // _OVER), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True, dpi=(96 * DENSITY, 96 * DENSITY))
    return out.getvalue()


class _Pen:
    """Draws shapes on a canvas that is `scale` times as large as the scene."""

    def __init__(self, draw: ImageDraw, scale: int) -> None:
        self._draw = draw
        self.scale = scale
        self._fonts: dict[tuple[float, bool], FreeTypeFont | ImageFont] = {}

    def line(self, shape: Line) -> None:
        width = max(1, round(shape.width * self.scale))
        for piece in _dashes(shape) if shape.dash else [shape.points]:
            points = [(x * self.scale, y * self.scale) for x, y in piece]
            self._draw.line(points, fill=shape.colour, width=width, joint="curve")

    def dot(self, shape: Dot) -> None:
        centre, radius = (shape.x * self.scale, shape.y * self.scale), shape.radius * self.scale
        self._draw.ellipse(
            (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), fill=shape.colour
        )

    def text(self, shape: Text) -> None:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
        at = (shape.x * self.scale, shape.y * self.scale)
        stroke = self.scale / 6 if shape.bold else 0
        self._draw.text(at, shape.text, shape.colour, self.font(shape), anchor, stroke_width=stroke)

    def font(self, shape: Text) -> FreeTypeFont | ImageFont:
        """Pillow's own font, which is always there; for letters that it lacks one of the system's."""
        from PIL import ImageFont  # noqa: PLC0415 - an extra

        own = all(ord(character) < 0x180 or character == "…" for character in shape.text)
        key = (shape.size, own)
        if key not in self._fonts:
            size = shape.size * self.scale
            self._fonts[key] = ImageFont.load_default(size)
            for name in () if own else _FONTS:
                try:
                    self._fonts[key] = ImageFont.truetype(name, size)
                    break
                except OSError:
                    continue
        return self._fonts[key]


def _turned(image: object, shape: Text, pen: _Pen) -> None:
    """A text from bottom to top, around its middle."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - an extra

    assert isinstance(image, Image.Image)
    font = pen.font(shape)
    left, top, right, bottom = font.getbbox(shape.text, anchor="ls") if hasattr(font, "getbbox") else (0, 0, 0, 0)
    room = Image.new("L", (max(1, round(right - left)) + 4, max(1, round(bottom - top)) + 4), 0)
    ImageDraw.Draw(room).text((2 - left, 2 - top), shape.text, 255, font, "ls")
    mask = room.rotate(90, expand=True)
    x = round(shape.x * pen.scale + top) - 2
    y = round(shape.y * pen.scale - mask.height / 2)
    image.paste(Image.new("RGB", mask.size, shape.colour), (x, y), mask)


def _dashes(shape: Line) -> list[list[tuple[float, float]]]:
    """The pieces of a dashed line: dashes and gaps in turn along its length."""
    pieces: list[list[tuple[float, float]]] = []
    lengths = shape.dash
    number, left, drawing = 0, lengths[0], True
    current = [shape.points[0]]
    for (x0, y0), (x1, y1) in zip(shape.points, shape.points[1:], strict=False):
        total = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        done = 0.0
        while total - done > left:
            done += left
            at = (x0 + (x1 - x0) * done / total, y0 + (y1 - y0) * done / total)
            if drawing:
                pieces.append([*current, at])
            current, drawing = [at], not drawing
            number = (number + 1) % len(lengths)
            left = lengths[number]
        left -= total - done
        if drawing:
            current.append((x1, y1))
    return [*pieces, current] if drawing and len(current) > 1 else pieces
