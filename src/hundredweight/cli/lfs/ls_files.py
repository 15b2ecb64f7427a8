"""`git lfs ls-files`: list the LFS files of the index and HEAD, of a commit, or of history."""

from __future__ import annotations

import os
import sys

from hundredweight.base.sizes import format_size
from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.ls_files import BadChoice, is_checked_out, is_stored, list_files
from hundredweight.git.patterns import PathFilter, split_list
from hundredweight.git.scan import ScanError
from hundredweight.protocol.pointer import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterator
    from typing import Any

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.scan import PointerFile


_DEFAULTS = {
    **dict.fromkeys(("long", "size", "debug", "all", "deleted", "name_only", "json"), False),
    "refs": [],
    "include": "",
    "exclude": "",
}


def parser() -> ArgumentParser:
    made = make_parser("git lfs ls-files", "List LFS files: '*' here, '-' just the pointer.")
    made.add_argument("refs", nargs="*", metavar="REF", help="a commit; two: what came from the first to the second")
    made.add_argument("-l", "--long", action="store_true", help="whole object ids")
    made.add_argument("-s", "--size", action="store_true", help="sizes too")
    made.add_argument("-d", "--debug", action="store_true", help="all that is known of each file")
    made.add_argument("-a", "--all", action="store_true", help="all history")
    made.add_argument("--deleted", action="store_true", help="the commit's whole history")
    made.add_argument("-I", "--include", metavar="PATHS", default="", help="only paths of these patterns, by commas")
    made.add_argument("-X", "--exclude", metavar="PATHS", default="", help="no paths of these patterns, by commas")
    made.add_argument("-n", "--name-only", action="store_true", help="just the paths")
    made.add_argument("-j", "--json", action="store_true", help="as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse(args, parser, _DEFAULTS, mixed=True)
    workspace = open_clone(environment)
    paths = PathFilter(split_list(options.include), split_list(options.exclude))
    try:
        files = list_files(workspace, options.refs, every=options.all, deleted=options.deleted, paths=paths)
        _show(workspace, files, options)
    except (BadChoice, ScanError) as error:
        text = f"Could not scan for Git LFS tree: {error}" if isinstance(error, ScanError) else str(error)
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        return 2
    return 0


def _show(workspace: Workspace, files: Iterator[PointerFile], options: Any) -> None:
    if options.json:
        rows = [_facts(workspace, file) for file in files]
        import json

        print(json.dumps({"files": rows}, indent=1, ensure_ascii=False))
        return
    for file in files:
        print(_debug(workspace, file) if options.debug else _line(workspace, file, options))


def _line(workspace: Workspace, file: PointerFile, options: Any) -> str:
    words = [file.path]
    if not options.name_only:
        marker = "*" if is_checked_out(workspace, file) else "-"
        words = [file.pointer.oid if options.long else file.pointer.oid.short, marker, file.path]
    if options.size:
        words.append(f"({format_size(file.pointer.size)})")
    return " ".join(words)


def _debug(workspace: Workspace, file: PointerFile) -> str:
    checkout, download = is_checked_out(workspace, file), is_stored(workspace, file)
    return (
        f"filepath: {file.path}\n    size: {file.pointer.size}\n"
        f"checkout: {str(checkout).lower()}\ndownload: {str(download).lower()}\n"
        f"     oid: sha256 {file.pointer.oid}\n version: {VERSION}\n"
    )


def _facts(workspace: Workspace, file: PointerFile) -> dict[str, object]:
    return {
        "name": os.fsencode(file.path).decode("utf-8", "replace"),
        "size": file.pointer.size,
        "checkout": is_checked_out(workspace, file),
        "downloaded": is_stored(workspace, file),
        "oid_type": "sha256",
        "oid": file.pointer.oid,
        "version": VERSION,
    }
