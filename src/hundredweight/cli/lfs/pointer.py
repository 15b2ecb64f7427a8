"""`git lfs pointer`: build a file's pointer, compare it with another one, or check whether a file is one."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_FAILURE, CwtError, UsageError
from hundredweight.client.pointer import Reading, Unreadable, blob_id, build, read, read_file
from hundredweight.git.run import Git

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

NOT_A_POINTER = 1
NOT_CANONICAL = 2


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "git lfs pointer",
        description="Build a file's pointer; with --pointer or --stdin compare it with another implementation's; with "
        "--check tell by the exit code whether a file is a pointer (1: no, 2: not in canonical form, with --strict).",
    )
    made.add_argument("-f", "--file", default="", metavar="FILE", help="the file to build a pointer from, or to check")
    made.add_argument("-p", "--pointer", default="", metavar="FILE", help="a pointer file to show and to compare with")
    made.add_argument("--stdin", action="store_true", help="as --pointer, from standard input")
    made.add_argument("--check", action="store_true", help="only check --file or --stdin")
    made.add_argument("--strict", action="store_true", help="with --check: it must be in canonical form")
    made.add_argument("--no-strict", action="store_true", help="with --check: any valid form will do (the default)")
    return made


def run(args: list[str], environment: Environment) -> int:
    del environment
    options = parser().parse_args(args)
    try:
        return _check(options) if options.check else _show(options)
    except Unreadable as error:
        say(str(error))
        return EXIT_FAILURE


def _check(options: argparse.Namespace) -> int:
    if options.strict and options.no_strict:
        raise UsageError("Cannot combine --strict with --no-strict")
    if options.pointer:
        raise UsageError("Cannot combine --check with --compare")
    if options.file and options.stdin:
        raise UsageError("With --check, --file cannot be combined with --stdin")
    if not options.file and not options.stdin:
        raise UsageError("Must specify either --file or --stdin with --compare")
    reading = read_file(options.file) if options.file else read(sys.stdin.buffer)
    if reading.pointer is None:
        return NOT_A_POINTER
    return NOT_CANONICAL if options.strict and not reading.pointer.canonical else 0


def _show(options: argparse.Namespace) -> int:
    if not (options.file or options.pointer or options.stdin):
        say("Nothing to do!")
        return EXIT_FAILURE
    compare = bool(options.file) and bool(options.pointer or options.stdin)
    built = _show_built(options.file, compare) if options.file else ""
    if not (options.pointer or options.stdin):
        return 0
    reading = _given(options)
    say(f"Pointer from {'STDIN' if options.stdin else options.pointer}\n")
    if reading.pointer is None:
        say(reading.problem)
        return EXIT_FAILURE
    sys.stderr.flush()
    sys.stderr.buffer.write(reading.data)
    if not compare:
        return 0
    given = blob_id(Git(), reading.data)
    say(f"\nGit blob OID: {given}")
    if built != given:
        say("\nPointers do not match")
        return EXIT_FAILURE
    return 0


def _show_built(path: str, compare: bool) -> str:
    """Print the pointer of the file; its blob id when that is to be compared."""
    data = build(path).encode()
    say(f"Git LFS pointer for {path}\n")
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
    if not compare:
        return ""
    built = blob_id(Git(), data)
    say(f"\nGit blob OID: {built}\n")
    return built


def _given(options: argparse.Namespace) -> Reading:
    if options.pointer and options.stdin:
        raise CwtError("cannot read from STDIN and --pointer")
    if options.pointer:
        return read_file(options.pointer)
    if sys.stdin.isatty():
        raise CwtError("Cannot read from STDIN: The --stdin flag expects a pointer file from STDIN.")
    return read(sys.stdin.buffer)


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
