"""`.lfsconfig`: from the work tree, the index or HEAD; safe keys only."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.git import lfsconfig
from hundredweight.git.repository import discover
from hundredweight.git.run import Git

CONTENT = """[lfs]
url = https://example.com/lfs
fetchexclude = big
[lfs "https://example.com/lfs"]
access = basic
[filter "lfs"]
clean = rm -rf
[lfs "extension.x"]
priority = 1
[lfs "customtransfer.x"]
path = evil
[remote "origin"]
lfsurl = https://other
url = https://evil
"""


def commit(git: Git) -> None:
    git.output("add", ".lfsconfig")
    git.output("-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "-m", "config")


def test_safe_keys_from_each_place(tmp_path: Path) -> None:
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    Git().output("init", "-q", str(work))
    git = Git(str(work))
    assert lfsconfig.read(discover(git))[1] == []
    (work / ".lfsconfig").write_text(CONTENT)
    git.output("add", ".lfsconfig")
    for in_work_tree in (True, False):
        if not in_work_tree:
            (work / ".lfsconfig").unlink()
        found, unsafe = lfsconfig.read(discover(git))
        assert found.get("lfs.url") == "https://example.com/lfs"
        assert found.get("lfs.https://example.com/lfs.access") == "basic"
        assert found.get("lfs.extension.x.priority") == "1"
        assert found.get("remote.origin.lfsurl") == "https://other"
        assert unsafe == ["filter.lfs.clean", "lfs.customtransfer.x.path", "remote.origin.url"]
    (work / ".lfsconfig").write_text(CONTENT)
    commit(git)
    Git().output("clone", "-q", "--bare", str(work), str(bare))
    assert lfsconfig.read(discover(Git(str(bare))))[0].get("lfs.fetchexclude") == "big"


@pytest.mark.parametrize("key", ["lfs.url", "LFS.PushUrl", "lfs.https://x.access", "remote.a.b.lfsurl"])
def test_safe(key: str) -> None:
    assert lfsconfig.is_safe(key)


@pytest.mark.parametrize(
    "key", ["lfs.access", "remote.lfsurl", "core.sshcommand", "lfs.storage", "lfs.extension.priority"]
)
def test_unsafe(key: str) -> None:
    assert not lfsconfig.is_safe(key)
