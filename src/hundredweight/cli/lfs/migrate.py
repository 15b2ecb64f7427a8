"""`git lfs migrate`: show what history holds, and rewrite it so that large files are LFS objects."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE
from hundredweight.base.sizes import BadSize, format_in_unit, format_size, parse_size, parse_unit
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.tasks import Tasks
from hundredweight.client.hook_scripts import ensure_hooks
from hundredweight.client.migrate.convert import convert
from hundredweight.client.migrate.info import FOLLOW, IGNORE, NO_FOLLOW, Row, Summary, survey
from hundredweight.client.migrate.plan import Choice
from hundredweight.client.migrate.selection import MigrateError, Selection
from hundredweight.client.migrate.single import convert_once
from hundredweight.client.migrate.worktree import is_dirty, update_work_tree
from hundredweight.client.settings import Settings
from hundredweight.git.patterns import split_list

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

_QUESTION = "override changes in your working copy?  All uncommitted changes will be lost! [y/N] "
_NO_EXPORT = "'git lfs migrate export' is not available yet"


def parser() -> argparse.ArgumentParser:
    """All modes; for help and documentation. `run` parses with a mode's own parser, since options and names may mix."""
    top = argparse.ArgumentParser("git lfs migrate", description="Show what history holds, or move it into Git LFS.")
    modes = top.add_subparsers(title="modes", metavar="MODE")
    for mode, (fill, summary) in _MODES.items():
        fill(modes.add_parser(mode, help=summary, description=summary))
    return top


def run(args: list[str], environment: Environment) -> int:
    mode = next((arg for arg in args if arg in (*_MODES, "export")), "")
    if not mode:
        parser().parse_args(args)
        parser().print_usage(sys.stderr)
        return EXIT_USAGE
    rest = list(args)
    rest.remove(mode)
    try:
        if mode == "export":
            raise MigrateError(_NO_EXPORT, hint="use another Git LFS client for it; 'git lfs migrate import' is here")
        options = _mode_parser(mode).parse_intermixed_args(rest)
        workspace = open_clone(environment)
        return _run_info(workspace, options) if mode == "info" else _run_import(workspace, options)
    except (MigrateError, BadSize) as error:
        sys.stderr.write(f"{error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return EXIT_USAGE


def _run_info(workspace: Workspace, options: argparse.Namespace) -> int:
    choice = _choice(options)
    pointers = options.pointers or (IGNORE if options.fixup else FOLLOW)
    if pointers not in (FOLLOW, NO_FOLLOW, IGNORE):
        raise MigrateError("Unsupported --pointers option value")
    if options.fixup and pointers != IGNORE:
        raise MigrateError(f"Cannot use --fixup with --pointers={pointers}")
    unit = _size("unit", options.unit) if options.unit is not None else 0
    tasks = _tasks(workspace)
    summary = survey(workspace, _selection(options), choice, _Reporter(tasks, "Examining"), pointers=pointers)
    tasks.finish()
    sys.stdout.write(_table(summary, max(options.top, 0), unit))
    return 0


def _run_import(workspace: Workspace, options: argparse.Namespace) -> int:
    _confirm(workspace, assume_yes=options.yes)
    ensure_hooks(workspace)
    tasks = _tasks(workspace)
    if options.no_rewrite:
        if options.fixup:
            raise MigrateError("--no-rewrite and --fixup cannot be combined")
        paths = [os.path.normpath(os.path.join(workspace.repository.prefix, path)) for path in options.names]
        reporter = _Reporter(tasks, "Rewriting", verbose=options.verbose)
        convert_once(workspace, paths, reporter, message=options.message)
    else:
        choice = _choice(options)
        if choice.above and (choice.include or choice.exclude or choice.fixup):
            raise MigrateError("Cannot use --above with --include, --exclude, --fixup")
        reporter = _Reporter(tasks, "Rewriting", verbose=options.verbose)
        convert(workspace, _selection(options), choice, reporter, object_map=options.object_map)
    if not workspace.repository.bare:
        tasks.step("Checkout")
        update_work_tree(workspace)
    tasks.finish()
    return 0


def _confirm(workspace: Workspace, *, assume_yes: bool) -> None:
    """Raises `MigrateError` unless the work tree is clean or the user gives up what is not."""
    if workspace.repository.bare or not is_dirty(workspace):
        return
    answer = "y" if assume_yes else ""
    while not answer:
        sys.stderr.write(_QUESTION)
        sys.stderr.flush()
        line = sys.stdin.readline()
        word = line.strip().lower()
        answer = "n" if word in ("", "n") else "y" if word == "y" else ""
        if not line.endswith("\n"):
            sys.stderr.write("\n")
    if answer != "y":
        raise MigrateError("working copy must not be dirty")
    sys.stderr.write("changes in your working copy will be overridden ...\n")


def _choice(options: argparse.Namespace) -> Choice:
    if options.fixup and (options.include is not None or options.exclude is not None):
        raise MigrateError("Cannot use --fixup with --include, --exclude")
    return Choice(
        include=split_list(options.include or ""),
        exclude=split_list(options.exclude or ""),
        above=_size("above", options.above),
        fixup=options.fixup,
    )


def _size(option: str, text: str) -> int:
    try:
        return parse_unit(text) if option == "unit" else parse_size(text)
    except BadSize as error:
        raise BadSize(f"cannot parse --{option}=<{'unit' if option == 'unit' else 'n'}>: {error}") from error


def _selection(options: argparse.Namespace) -> Selection:
    return Selection(
        branches=options.names,
        include_refs=_names(options.include_ref),
        exclude_refs=_names(options.exclude_ref),
        everything=options.everything,
        skip_fetch=options.skip_fetch,
    )


def _names(values: list[str]) -> list[str]:
    return [name for value in values for name in value.split(",") if name]


def _table(summary: Summary, top: int, unit: int) -> str:
    rows = list(summary.rows)[:top]
    rows += [summary.objects] if summary.objects else []
    cells = [_cells(row, unit) for row in rows]
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*cells, strict=True)]
    lines: list[str] = []
    for row, (name, size, files, percent) in zip(rows, cells, strict=True):
        if row is summary.objects and lines:
            lines.append("")
        padded = (name.ljust(widths[0]), size.ljust(widths[1]), files.rjust(widths[2]), percent.rjust(widths[3]))
        lines.append("\t".join(padded))
    return "".join(f"{line}\n" for line in lines)


def _cells(row: Row, unit: int) -> tuple[str, str, str, str]:
    size = format_in_unit(row.size, unit) if unit else format_size(row.size)
    files = f"{row.above}/{row.total} " + ("file " if row.total == 1 else "files")
    return row.name, size, files, f"{100 * row.above / row.total:.0f}%"


class _Reporter:
    """Tells on stderr how far it is."""

    def __init__(self, tasks: Tasks, verb: str, *, verbose: bool = False) -> None:
        self._tasks = tasks
        self._verb = verb
        self._verbose = verbose
        self._moves = 0

    def fetching(self) -> None:
        self._tasks.step("Fetching remote refs")

    def sorting(self) -> None:
        self._tasks.step("Sorting commits")

    def sorted(self, commits: int) -> None:
        self._tasks.counted(f"{self._verb} commits", commits)

    def commit(self, number: int) -> None:
        self._tasks.count(number)

    def converted(self, commit: str, path: str) -> None:
        if self._verbose:
            self._tasks.entry(f"  commit {commit}: {path}")

    def moved(self, name: str, old: str, new: str) -> None:
        if not self._moves:
            self._tasks.step("Updating refs")
        self._moves += 1
        self._tasks.entry(f"  {name}\t{old} -> {new}")


def _tasks(workspace: Workspace) -> Tasks:
    forced = Settings(workspace.config, workspace.variables).force_progress
    return Tasks(sys.stderr, live=forced or sys.stdout.isatty())


def _mode_parser(mode: str) -> argparse.ArgumentParser:
    fill, summary = _MODES[mode]
    made = argparse.ArgumentParser(f"git lfs migrate {mode}", description=summary)
    fill(made)
    return made


def _fill_core(mode: argparse.ArgumentParser) -> None:
    add = mode.add_argument
    add("-I", "--include", metavar="PATTERNS", help="only files that match one of these, comma-separated")
    add("-X", "--exclude", metavar="PATTERNS", help="no files that match one of these, comma-separated")
    add("--include-ref", metavar="REF", action="append", default=[], help="commits reachable from REF; repeatable")
    add("--exclude-ref", metavar="REF", action="append", default=[], help="no commits reachable from REF; repeatable")
    add("--everything", action="store_true", help="commits reachable from any ref")
    add("--skip-fetch", action="store_true", help="trust the remote references that are here; do not ask the remotes")
    add("-y", "--yes", action="store_true", help="do not ask; uncommitted changes are lost")
    add("--fixup", action="store_true", help="exactly the files that each commit's .gitattributes give to LFS")


def _fill_info(mode: argparse.ArgumentParser) -> None:
    _fill_core(mode)
    add = mode.add_argument
    add("--above", metavar="SIZE", default="", help="count only files larger than SIZE, as in '20 MB'")
    add("--top", metavar="N", type=int, default=5, help="show the N largest kinds (default: %(default)s)")
    add("--unit", metavar="UNIT", help="print sizes in b, kb, mb, gb, kib, mib, gib, ...")
    add("--pointers", metavar="HOW", help="count pointers as their objects (follow), as text (no-follow), not (ignore)")
    add("names", nargs="*", metavar="BRANCH", help="branches to look at, by default the current one; ^BRANCH excludes")


def _fill_import(mode: argparse.ArgumentParser) -> None:
    _fill_core(mode)
    add = mode.add_argument
    add(
        "--above",
        metavar="SIZE",
        default="",
        help="only files of at least SIZE, as in '20 MB'; not with -I, -X, --fixup",
    )
    add("--verbose", action="store_true", help="print each file that is converted, with its commit")
    add("--object-map", metavar="FILE", default="", help="write a line OLD,NEW for each rewritten commit to a new FILE")
    add("--no-rewrite", action="store_true", help="convert the files named in one new commit, keep history as it is")
    add("-m", "--message", metavar="TEXT", help="with --no-rewrite, the commit's message")
    add("names", nargs="*", metavar="BRANCH", help="branches to rewrite (^BRANCH excludes); with --no-rewrite, files")


_MODES = {
    "info": (_fill_info, "Summarize which kinds of files take how much space in history."),
    "import": (_fill_import, "Rewrite history so that chosen files are LFS objects."),
}
