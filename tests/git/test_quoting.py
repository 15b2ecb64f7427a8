"""Git's quoting: what git quotes comes back as it was."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.git.quoting import unquote
from hundredweight.git.run import Git


def test_malformed_text_is_none() -> None:
    for text in ('"', '"abc', '"\\q"', '"\\777"', '"\\1'):
        assert unquote(text) == (None, "")
    assert unquote('"a\\tb\\\\" rest') == ("a\tb\\", " rest")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.binary(min_size=1, max_size=12).filter(
        lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")
    )
)
def test_what_git_quotes_comes_back(tmp_path: Path, name: bytes) -> None:
    git = Git(str(tmp_path))
    if not (tmp_path / ".git").exists():
        git.output("init", "-q")
    git.output("read-tree", "--empty")
    git.output("update-index", "--index-info", stdin=b"100644 " + b"1" * 40 + b"\t" + _quoted(name) + b"\n")
    shown = os.fsdecode(git.output("ls-files").removesuffix(b"\n"))
    path = unquote(shown)[0] if shown.startswith('"') else shown
    assert path is not None
    assert os.fsencode(path) == name


def _quoted(name: bytes) -> bytes:
    return b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
