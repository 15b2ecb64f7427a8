"""Documents are part of the build: what the code knows stands in docs/ as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.cli.main import CWT_COMMANDS, GIT_LFS_COMMANDS
from tools import write_docs

ROOT = Path(__file__).parents[2]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))


def test_generated_pages_are_up_to_date() -> None:
    for path, text in write_docs.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"run 'python tools/write_docs.py' to renew {path.name}"


@pytest.mark.parametrize("name", GIT_LFS_COMMANDS)
def test_each_git_lfs_command_is_tested(name: str) -> None:
    assert any(f'"{name}"' in TESTS or text in TESTS for text in (f"lfs {name}", f'"lfs", "{name}"'))


@pytest.mark.parametrize("name", CWT_COMMANDS)
def test_each_cwt_command_is_tested(name: str) -> None:
    assert f'"{name}"' in TESTS or f"cwt {name}" in TESTS


@pytest.mark.parametrize(
    "page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/hub.md", "docs/hub-administration.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    targets = [part.split(")")[0].split("#")[0] for part in text.split("](")[1:]]
    assert not [t for t in targets if t and "://" not in t and not (path.parent / t).exists()]


def test_architecture_names_real_modules() -> None:
    """Every `folder/module.py` in ARCHITECTURE.md's table exists."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    names = [part for part in text.split("`")[1::2] if part.endswith(".py") and "<" not in part]
    missing = [
        n for n in names if not any((base / n).exists() for base in (ROOT / "src/hundredweight", ROOT, ROOT / "src"))
    ]
    assert names
    assert not missing
