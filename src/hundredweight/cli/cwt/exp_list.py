"""`cwt exp list`: the experiments there are: filtered, sorted, as a table or for programs."""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys

from hundredweight.cli.experiment_report import tell_killed
from hundredweight.cli.experiment_view import as_json as to_json
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.markdown import code, escape, format_markdown
from hundredweight.cli.pager import Pager
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.client.experiments.killed import collect
from hundredweight.client.experiments.names import rows_of
from hundredweight.client.experiments.table import Condition, columns, get, order, select, tabulate, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.cli.env import Environment
    from hundredweight.client.experiments.table import Table
    from hundredweight.lineage.listing import Listing, Row

DESCRIPTION = (
    "List experiments, the newest first: those that a ref keeps (refs/experiments), those whose record is in the tree "
    "of a branch, and commits whose message tells of a training. FIELD is the name of a metric or a parameter, or one "
    "of id, name, status, started, seconds, exit_code, seed, data, hardware, environment, weights, runs, base, code, "
    "commit, ref; 'params.NAME' and 'metrics.NAME' say which is meant where names collide. Columns that say the same "
    "in every row stand in one line below the table."
)
LIMIT = 50


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt exp list", description=DESCRIPTION, allow_abbrev=False)
    add = made.add_argument
    add(
        "--where",
        nargs="+",
        action="extend",
        default=[],
        metavar="CONDITION",
        help="only those for which all hold: FIELD with <, <=, >, >=, =, != and a value, or ~ and !~ and a pattern "
        "('val_loss<0.5' 'lr=3e-5' 'name~base*')",
    )
    add("--sort", default="", metavar="FIELD[,FIELD]", help="order by these, -FIELD from large to small")
    add("--columns", default="", metavar="FIELD[,FIELD]", help="show these, patterns such as 'val_*' too")
    add("-n", "--limit", type=int, metavar="N", help=f"at most N rows; tables without it have at most {LIMIT}")
    add("--all", action="store_true", help="all rows, and columns that are the same in all")
    form = made.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print a JSON list, with everything unless --columns says what"
    )
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--md", action="store_true", help="print a Markdown table")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(join_sort(args))
    workspace = open_clone(environment)
    tell_killed(collect(workspace))
    found = rows_of(workspace)
    rows = order(
        select(found.rows, [Condition.parse(text) for text in options.where]),
        [key.strip() for key in options.sort.split(",") if key.strip()],
    )
    wanted = [name.strip() for name in options.columns.split(",") if name.strip()]
    total = len(rows)
    for_programs = options.json or options.csv
    limit = options.limit if options.limit is not None else 0 if options.all or for_programs else LIMIT
    if limit:
        rows = rows[: max(0, limit)]
    fields = columns(rows, wanted)
    if options.json:
        sys.stdout.write(as_json(rows, fields if wanted else []))
    elif options.csv:
        sys.stdout.write(as_csv(rows, fields))
    else:
        width = 0 if options.md or not sys.stdout.isatty() else shutil.get_terminal_size().columns
        shown = tabulate(rows, fields, width=width, hide_same=not (options.all or wanted))
        left = total - len(rows)
        if options.md:
            sys.stdout.write(as_markdown(shown, left))
        else:
            with Pager(workspace.git) as pager:
                sys.stdout.write(as_text(shown, left, none=not found.rows, bold=pager.terminal))
                sys.stdout.flush()
    tell_damaged(found)
    return 0


def join_sort(args: Sequence[str]) -> list[str]:
    """`--sort -acc` as `--sort=-acc`: argparse takes what begins with a dash for an option."""
    made: list[str] = []
    for arg in args:
        if made and made[-1] == "--sort":
            made[-1] = f"--sort={arg}"
        else:
            made.append(arg)
    return made


def tell_damaged(found: Listing) -> None:
    """Records that cannot be read, on stderr: the others are listed."""
    sys.stdout.flush()
    for error in found.damaged:
        sys.stderr.write(f"warning: {printable(error.message)}\n")


def as_json(rows: Sequence[Row], fields: Sequence[str] = ()) -> str:
    """With `fields` an object of these; else everything, parameters and metrics in objects of their own."""
    made = [{field: get(row, field) for field in fields} if fields else row._asdict() for row in rows]
    # A line a row: ten thousand with `indent` take a second, since only the plain form is written by C.
    lines = ",\n ".join(to_json(item, None) for item in made)
    return f"[\n {lines}\n]\n" if made else "[]\n"


def as_csv(rows: Sequence[Row], fields: Sequence[str]) -> str:
    """Values in full, an empty cell where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow([text_of(get(row, field)) for field in fields])
    return out.getvalue()


def as_text(shown: Table, left: int, *, none: bool, bold: bool = False) -> str:
    """An aligned table, and what it leaves out."""
    if not shown.rows:
        return "no experiments yet: 'cwt exp run -- COMMAND' makes one\n" if none else "no experiment is like that\n"
    lines = [[printable(cell) for cell in row] for row in shown.rows]
    head, _, rest = format_table([printable(name) for name in shown.head], lines, shown.right).partition("\n")
    text = (f"\x1b[1m{head}\x1b[m" if bold else head) + f"\n{rest}"
    if shown.same:
        text += (
            "same in all: " + ", ".join(f"{printable(name)}={printable(value)}" for name, value in shown.same) + "\n"
        )
    if shown.dropped:
        text += f"columns that do not fit: {', '.join(map(printable, shown.dropped))} (see --columns)\n"
    if left:
        text += f"and {left} more (see --all, --limit)\n"
    return text


def as_markdown(shown: Table, left: int) -> str:
    """A table as merge requests show it."""
    text = format_markdown(list(map(escape, shown.head)), [list(map(escape, row)) for row in shown.rows], shown.right)
    if shown.same:
        text += "\nSame in all: " + ", ".join(code(f"{name}={value}") for name, value in shown.same) + "\n"
    return text + (f"\nAnd {left} more.\n" if left else "")
