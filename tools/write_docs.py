"""Writes the parts of docs/ that the code knows: the command pages from the parsers, the error table from the classes.

`python tools/write_docs.py` writes them; `tests/architecture/test_docs.py` compares.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import hundredweight
from hundredweight.base.errors import CwtError
from hundredweight.cli.main import CWT_COMMANDS, GIT_LFS_COMMANDS

DOCS = Path(__file__).resolve().parents[1] / "docs"
INTRODUCTIONS = {
    "lfs": "# git lfs\n\nThe commands of the `git-lfs` program, a drop-in Git LFS client: the same command line, messages and "
    "files as stock git-lfs, on the same repositories and servers. `git lfs COMMAND --help` prints one of these sections.\n\n"
    "Not here yet: `migrate export`, `dedup`, `merge-driver`, `completion`, SSH, tus and custom transfers; `migrate` with "
    "extensions.",
    "cwt": "# cwt\n\nWhat Git LFS lacks. `cwt COMMAND --help` prints one of these sections.",
}
PROGRAMS = {"lfs": ("git lfs", GIT_LFS_COMMANDS), "cwt": ("cwt", CWT_COMMANDS)}
START = "<!-- written by tools/write_docs.py: start -->"
END = "<!-- written by tools/write_docs.py: end -->"


def command_page(program: str) -> str:
    """Markdown of all commands of a program (`lfs` or `cwt`)."""
    title, names = PROGRAMS[program]
    parts = [INTRODUCTIONS[program]]
    for name in names:
        if name == "version":
            parts.append(f"## {title} version\n\nPrint the version.")
            continue
        module = importlib.import_module(f"hundredweight.cli.{program}.{name.replace('-', '_')}")
        summary = (module.__doc__ or "").strip().splitlines()[0].partition(": ")[2]
        parts.extend(sections(f"{title} {name}", module.parser(), summary))
    return "\n\n".join(parts) + "\n"


def sections(title: str, parser: argparse.ArgumentParser, summary: str) -> Iterator[str]:
    """One command's section, and one for each of its sub-commands."""
    short, long = capitalize(summary), (parser.description or "").strip()
    text = [f"## {title}", *((short,) if not long.startswith(short.rstrip(".")) else ()), long]
    lines = list(argument_lines(parser))
    if lines:
        text.append("\n".join(["| argument | meaning |", "|---|---|", *lines]))
    yield "\n\n".join(part for part in text if part)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, child in action.choices.items():
                yield from sections(f"{title} {name}", child, helps.get(name, ""))


def capitalize(text: str) -> str:
    text = text.strip()
    return (text[:1].upper() + text[1:].rstrip(".") + ".") if text else ""


def argument_lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        meaning = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%").replace("|", "\\|")
        yield f"| `{signature(action)}` | {meaning} |"


def signature(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else (action.dest or "").upper()
    if not action.option_strings:
        return f"{metavar}..." if action.nargs in ("*", "+", argparse.REMAINDER) else metavar
    if action.choices:
        metavar = metavar if action.metavar else "{" + ",".join(str(choice) for choice in action.choices) + "}"
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(option + value for option in action.option_strings).replace("|", "\\|")


def error_classes() -> list[type[CwtError]]:
    """Every error class of the package, roots included, in order of name."""
    for info in pkgutil.walk_packages(hundredweight.__path__, "hundredweight."):
        if ".migrations" not in info.name:
            importlib.import_module(info.name)
    found: set[type[CwtError]] = {CwtError}
    waiting = [CwtError]
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child not in found and child.__module__.startswith("hundredweight."):
                found.add(child)
                waiting.append(child)
    return sorted(found, key=lambda cls: (cls.__name__, cls.__module__))


def error_table() -> str:
    lines = ["| error | exit code | what it means | what mends it |", "|---|---|---|---|"]
    for cls in error_classes():
        meaning = (cls.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        lines.append(
            f"| `{cls.__name__}` | {cls.exit_code} | {' '.join(meaning.split())} | {cls.hint.replace('|', chr(92) + '|')} |"
        )
    return "\n".join(lines)


def with_table(page: str, table: str) -> str:
    """The page with what stands between the markers replaced. Raises `ValueError` without markers."""
    before, middle, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not middle or not end:
        raise ValueError("the page has no markers")
    return f"{before}{START}\n\n{table}\n\n{END}{after}"


def pages() -> dict[Path, str]:
    """Every generated page with the text it should have."""
    errors = DOCS / "errors.md"
    return {
        DOCS / "git-lfs.md": command_page("lfs"),
        DOCS / "cwt.md": command_page("cwt"),
        errors: with_table(errors.read_text(encoding="utf-8"), error_table()),
    }


def main() -> int:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
