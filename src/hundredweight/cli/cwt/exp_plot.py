"""`cwt exp plot`: curves of experiments, or a parameter against metrics: on the terminal, as SVG, PNG or HTML."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from hundredweight.base.errors import UsageError
from hundredweight.base.files import write_file
from hundredweight.cli.cwt.exp_show import tell
from hundredweight.cli.experiment_view import titles
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.pager import Pager, colour_wanted
from hundredweight.cli.weights import printable
from hundredweight.client.charts.raster import write_png
from hundredweight.client.charts.scene import lay_out
from hundredweight.client.charts.svg import write_html, write_svg
from hundredweight.client.charts.terminal import draw_figure
from hundredweight.client.experiments.names import Names, NoSuchExperiment, rows_of
from hundredweight.client.experiments.plot import NothingToPlot, plot_against, plot_curves
from hundredweight.client.experiments.table import Condition, order, select
from hundredweight.lineage.listing import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.experiments.plot import Plot
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.listing import Row

DESCRIPTION = (
    "Draw the curves of experiments, one chart a metric, one line an experiment; or with --against one dot an "
    "experiment, its parameter against its metrics. Without names the newest experiments that --where allows are "
    "drawn. Without --output the drawing is made of characters; a file's kind is told by its ending: .svg, .html "
    "(which hold everything they need) or .png (which needs the extra 'plot')."
)
CURVES = 7
"""Experiments whose curves are drawn where none are named: as many as there are colours."""
_ENDINGS = (".svg", ".html", ".png")


class UnknownDrawing(UsageError):
    """A file's ending says no kind of drawing that is known."""

    hint = "end its name with .svg, .html or .png"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp plot", description=DESCRIPTION, allow_abbrev=False)
    add = made.add_argument
    add("names", metavar="EXPERIMENT", nargs="*", help="which to draw: ids, names, releases, branches or commits")
    add(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="draw this metric, or all that a pattern fits; may be repeated",
    )
    add("--where", nargs="+", action="extend", default=[], metavar="CONDITION", help="as for 'cwt exp list'")
    add(
        "--against",
        default="",
        metavar="FIELD",
        help="draw metrics over this parameter (or any field), one dot an experiment",
    )
    add("--by", default="", metavar="FIELD", help="with --against: a colour for each value of this field")
    add("--log-x", action="store_true", help="a logarithmic x axis")
    add("--log-y", action="store_true", help="a logarithmic y axis")
    add("-o", "--output", action="append", default=[], metavar="FILE", help="write this file; may be repeated")
    add("--title", default="", metavar="TEXT", help="the title of the drawing")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    for path in options.output:
        if os.path.splitext(path)[1].lower() not in _ENDINGS:
            raise UnknownDrawing(f"'{path}' is no kind of drawing")
    workspace = open_clone(environment)
    rows = _rows(workspace, options)
    scales = {"log_x": options.log_x, "log_y": options.log_y, "title": options.title}
    if options.against:
        made = plot_against(rows, options.against, options.metric, by=options.by, **scales)
    elif options.by:
        raise UsageError(
            "--by is for --against alone", hint="name a parameter: 'cwt exp plot --against lr --by optimizer'"
        )
    else:
        found = whole(workspace.git, rows)
        made = plot_curves(workspace.git, found, titles(found), options.metric, **scales)
    tell(made.notes)
    for path in options.output:
        write_file(path, _encode(made, path))
        sys.stdout.write(f"wrote {printable(path)}\n")
    if not options.output:
        _draw(workspace, made)
    return 0


def _rows(workspace: Workspace, options: argparse.Namespace) -> list[Row]:
    listed = rows_of(workspace).rows
    if options.names:
        finder = Names(workspace.git, listed)
        found = finder.rows(options.names)
        tell(finder.notes)
        return select(found, [Condition.parse(text) for text in options.where])
    found = order(select(listed, [Condition.parse(text) for text in options.where]), [])
    if not found:
        raise NothingToPlot(
            "no experiment is like that" if listed else "there are no experiments yet", hint=NoSuchExperiment.hint
        )
    if not options.against and len(found) > CURVES:
        sys.stderr.write(f"note: the newest {CURVES} of {len(found)} experiments are drawn; name others to see them\n")
        found = found[:CURVES]
    # The oldest first: it keeps its colour when one is added.
    return found[::-1]


def _encode(made: Plot, path: str) -> bytes:
    scene = lay_out(made.figure)
    title = made.figure.title or ", ".join(chart.y_label for chart in made.figure.charts)
    ending = os.path.splitext(path)[1].lower()
    if ending == ".png":
        return write_png(scene)
    text = write_svg(scene, title) if ending == ".svg" else write_html(scene, title, made.head, made.rows)
    return text.encode()


def _draw(workspace: Workspace, made: Plot) -> None:
    with Pager(workspace.git) as pager:
        size = shutil.get_terminal_size() if pager.terminal else os.terminal_size((80, 24))
        colour = colour_wanted(pager.git, "color.diff", terminal=pager.terminal)
        height = max(6, min(16, size.lines - 8))
        text = draw_figure(made.figure, min(size.columns, 120), height, colour=colour)
        sys.stdout.write(text if colour else "".join(c if c == "\n" else printable(c) for c in text))
        sys.stdout.flush()
