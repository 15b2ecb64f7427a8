"""A scene as SVG, and as an HTML page that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hundredweight.client.charts.scene import PAPER, Dot, Line, Scene, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

_FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif"
_STYLE = (
    "body{font:15px/1.5 " + _FONT + ";margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222;background:#fff}"
    "svg{max-width:100%;height:auto}table{border-collapse:collapse;margin-top:1rem}"
    "th,td{padding:.25rem .75rem;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}"
)


def write_svg(scene: Scene, title: str) -> str:
    """A whole document. Names in it are escaped; control characters, which XML has not, are left out."""
    size = f'width="{scene.width:g}" height="{scene.height:g}" viewBox="0 0 {scene.width:g} {scene.height:g}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{escape(_FONT)}" role="img">',
        f"<title>{_text(title)}</title>",
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *map(_shape, scene.shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def write_html(scene: Scene, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A page with the drawing and a table of numbers below it: no script, nothing from elsewhere."""
    table = ""
    if rows:
        cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
        table = f"<table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style></head>\n'
        f"<body>\n{write_svg(scene, title)}{table}</body>\n</html>\n"
    )


def _shape(shape: Line | Dot | Text) -> str:
    if isinstance(shape, Line):
        points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
        dash = f' stroke-dasharray="{" ".join(f"{part:g}" for part in shape.dash)}"' if shape.dash else ""
        return (
            f'<polyline points="{points}" fill="none" stroke="{shape.colour}" stroke-width="{shape.width:g}"{dash}'
            ' stroke-linejoin="round"/>'
        )
    if isinstance(shape, Dot):
        place = f'cx="{_number(shape.x)}" cy="{_number(shape.y)}" r="{shape.radius:g}" fill="{shape.colour}"'
        return f"<circle {place}><title>{_text(shape.told)}</title></circle>" if shape.told else f"<circle {place}/>"
    turned = f' transform="rotate(-90 {_number(shape.x)} {_number(shape.y)})"' if shape.turned else ""
    weight = ' font-weight="600"' if shape.bold else ""
    return (
        f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" font-size="{shape.size:g}" fill="{shape.colour}"'
        f' text-anchor="{shape.anchor}"{weight}{turned}>{_text(shape.text)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return escape("".join(character for character in text if character.isprintable()))
