"""What the pages tell people to type works: each command of a page is run, in order, in one shell.

A page with a comment `<!-- setup ... -->` is a session: those shell lines are run first, then the page's ```console blocks, in an
empty folder, with a running hub ($HUB, credentials stored; $TEAM is the OWNER/NAME of a repository that is not there yet), `cwt`
and `git-lfs` on PATH and the repository's examples at $EXAMPLES. Lines that begin with `$ ` are commands (a backslash continues
them); other lines are output, for readers. `# exit 1` behind a command says how it ends.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.people import PROGRAMS
from tests.running_hub import RunningHub

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page.stem for page in DOCS.glob("*.md") if "<!-- setup\n" in page.read_text())
SECONDS = 100
_BLOCK = re.compile(r"^```console\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
_SETUP = re.compile(r"<!-- setup\n(?P<lines>.*?)-->", re.DOTALL)
_EXIT = re.compile(r"\s+# exit (?P<code>\d+)$")


@dataclass(frozen=True)
class Command:
    """`line` is where it stands in the page, from 1."""

    text: str
    line: int
    code: int = 0


def commands(page: str) -> list[Command]:
    """Those of a page, in order."""
    found = []
    for block in _BLOCK.finditer(page):
        number = page.count("\n", 0, block.start("lines")) + 1
        lines = iter(enumerate(block["lines"].splitlines(), number))
        for place, line in lines:
            if not line.startswith("$ "):
                continue
            text = line[2:]
            while text.endswith("\\"):
                text += "\n" + next(lines)[1]
            ending = _EXIT.search(text)
            found.append(
                Command(text[: ending.start()] if ending else text, place, int(ending["code"]) if ending else 0)
            )
    return found


def session(name: str, page: str) -> str:
    """A shell script that runs the page, and ends with 1 at the first command that ends otherwise than the page says."""
    setup = _SETUP.search(page)
    lines = ["set -e", setup["lines"] if setup else "", "set +e"]
    for command in commands(page):
        place = f"{name}.md:{command.line}"
        lines += [
            f"printf '%s\\n' {shlex.quote(f'$ {command.text}')}",
            command.text,
            f'code=$?; [ "$code" = {command.code} ] || {{ echo "{place}: ended with $code, expected {command.code}"; exit 1; }}',
        ]
    return "\n".join(lines) + "\n"


def test_a_session_is_taken_from_a_page_and_checked() -> None:
    page = "<!-- setup\nx=1\n-->\ntext\n```console\n$ test $x = 1\nsaid\n$ false  # exit 1\n$ echo a \\\n  b\n```\n"
    assert commands(page) == [Command("test $x = 1", 6), Command("false", 8, 1), Command("echo a \\\n  b", 9)]
    assert subprocess.run(
        ["bash", "-c", session("p", page)], capture_output=True, text=True, check=True
    ).stdout.endswith("a b\n")
    wrong = subprocess.run(
        ["bash", "-c", session("p", page.replace("# exit 1", ""))], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert "p.md:8: ended with 1, expected 0" in wrong.stdout


@pytest.mark.parametrize("name", PAGES or [pytest.param("", marks=pytest.mark.skip("no page has a session"))])
def test_every_command_of_a_page_works(name: str, hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.person(tmp_path / "home", "ada")
    work = tmp_path / "work"
    work.mkdir()
    env = ada.env | {
        "HUB": hub.url,
        "TEAM": hub.new_name(name),
        "EXAMPLES": str(DOCS.parent / "examples"),
        "PYTHON": str(PROGRAMS / "python"),
    }
    script = session(name, (DOCS / f"{name}.md").read_text())
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=work,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
