"""`git lfs status`: show what the next commit and the next push would move."""

from __future__ import annotations

import os

from hundredweight.cli.arguments import make_parser, parse
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.status import status, to_push

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser

    from hundredweight.cli.env import Environment
    from hundredweight.client.status import Content, Entry, Status
    from hundredweight.client.workspace import Workspace


_DEFAULTS = {"porcelain": False, "json": False}


def parser() -> ArgumentParser:
    made = make_parser("git lfs status", "Show what the next commit and push would move.")
    made.add_argument("-p", "--porcelain", action="store_true", help="one line a file, for scripts")
    made.add_argument("-j", "--json", action="store_true", help="as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parse(args, parser, _DEFAULTS)
    workspace = open_clone(environment, work_tree=True)
    state = status(workspace)
    if options.porcelain:
        _porcelain(state)
    elif options.json:
        _json(state)
    else:
        _plain(workspace, state)
    return 0


def _plain(workspace: Workspace, state: Status) -> None:
    if state.head is not None:
        print(f"On branch {state.head.name}")
    if state.upstream is not None:
        print(f"Objects to be pushed to {state.upstream.name}:\n")
        for file in to_push(workspace, state):
            print(f"\t{file.path} ({file.pointer.oid})")
    here = workspace.repository.prefix or "."
    print("\nObjects to be committed:\n")
    for entry in state.staged:
        print(f"\t{_paths(entry, here)} ({_contents(entry)})")
    print("\nObjects not staged for commit:\n")
    for entry in state.unstaged:
        print(f"\t{os.path.relpath(entry.change.source, here)} ({_contents(entry)})")
    print()


def _paths(entry: Entry, here: str) -> str:
    source = os.path.relpath(entry.change.source, here)
    return f"{source} -> {os.path.relpath(entry.change.path, here)}" if entry.change.status in "RC" else source


def _contents(entry: Entry) -> str:
    return _content(entry.before) + (f" -> {_content(entry.after)}" if entry.after is not None else "")


def _content(content: Content) -> str:
    return f"{content.source}: {content.digest}"


def _porcelain(state: Status) -> None:
    seen: set[str] = set()
    for entry in [*state.unstaged, *state.staged]:
        change = entry.change
        if change.path in seen:
            continue
        seen.add(change.path)
        if change.status in "RC":
            print(f"{change.status}  {change.source} -> {change.path}")
        else:
            print(f" M {change.path}" if change.status == "M" else f"{change.status}  {change.path}")


def _json(state: Status) -> None:
    files: dict[str, dict[str, str]] = {}
    for entry in [*state.unstaged, *state.staged]:
        change = entry.change
        if entry.before.source == "LFS":
            origin = {"from": _text(change.source)} if change.status in "RC" else {}
            files[_text(change.path)] = {"status": change.status, **origin}
    import json

    print(json.dumps({"files": dict(sorted(files.items()))}, separators=(",", ":"), ensure_ascii=False))


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
