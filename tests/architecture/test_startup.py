"""Which modules the filters and hooks load: git starts them all the time (docs/design/startup.md).

A list and not a time limit. Something new here has to be light (none of `HEAVY`) and needed on every start; otherwise it
is imported where it is used.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hundredweight.protocol.pktline import encode_lines
from tests.clones import Clone, pointer_of
from tests.people import PROGRAMS, isolated

HEAVY = {
    "argparse",
    "collections",
    "dataclasses",
    "json",
    "logging",
    "pathlib",
    "queue",
    "re",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
    "urllib3",
}

# The program finds its command.
START = {
    "__future__",
    "hundredweight",
    "hundredweight.base",
    "hundredweight.base.errors",
    "hundredweight.base.trace",
    "hundredweight.cli",
    "hundredweight.cli.env",
    "hundredweight.cli.lfs",
    "hundredweight.cli.main",
    "hundredweight.git",
    "hundredweight.git.config",
}

# A clone is opened: git runs, configuration, the store's layout.
CLONE = START | {
    "errno",
    "select",
    "hundredweight.base.files",
    "hundredweight.base.ids",
    "hundredweight.client",
    "hundredweight.client.workspace",
    "hundredweight.git.lfsconfig",
    "hundredweight.git.process",
    "hundredweight.git.quoting",
    "hundredweight.git.repository",
    "hundredweight.git.run",
    "hundredweight.store",
    "hundredweight.store.local",
    "hundredweight.store.loose",
}

# Is anything lockable, may a checkout have left pointers?
HOOK = CLONE | {
    "hundredweight.cli.lfs.hooks",
    "hundredweight.client.lockable",
    "hundredweight.client.pointer_files",
    "hundredweight.git.attributes",
    "hundredweight.git.patterns",
    "hundredweight.protocol",
    "hundredweight.protocol.pointer",
}

# Pointers, packets, patterns; the hooks are checked in passing.
FILTER = CLONE | {
    "hundredweight.cli.lfs.filters",
    "hundredweight.cli.umask",
    "hundredweight.client.extensions",
    "hundredweight.client.filter_stream",
    "hundredweight.client.hook_scripts",
    "hundredweight.client.repository_format",
    "hundredweight.protocol",
    "hundredweight.protocol.filter",
    "hundredweight.protocol.pktline",
    "hundredweight.protocol.pointer",
    # to widen the pipes
    "fcntl",
}

# OpenSSL's SHA-256, which is six times as fast as the interpreter's own.
HASH = {"hashlib", "_hashlib", "_blake2"}
CLEAN = FILTER | HASH | {"hundredweight.client.clean"}
SMUDGE = FILTER | {"hundredweight.client.smudge", "hundredweight.git.patterns"}


def own(name: str) -> set[str]:
    return {f"hundredweight.cli.lfs.{name}"}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """One local object; nothing is lockable, the filter and the hooks are installed."""
    made = Clone(tmp_path / "clone")
    made.write(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n")
    made.put("a.bin", b"weights")
    made.commit()
    made.git.output("config", "filter.lfs.process", "git-lfs filter-process")
    run(made, ["clean"], b"first start, which writes hooks and configuration")
    return made


def run(clone: Clone, args: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", str(PROGRAMS / "git-lfs"), *args],
        cwd=clone.folder,
        env=isolated(clone.folder.parent / "home"),
        input=stdin,
        capture_output=True,
        check=True,
    )


def imported(listing: bytes) -> set[str]:
    lines = listing.decode().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:") and "|" in line}


@pytest.fixture(scope="module")
def interpreter() -> set[str]:
    """What the interpreter loads for itself."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", "pass"], capture_output=True, check=True)
    return imported(done.stderr)


HANDSHAKE = encode_lines(["git-filter-client", "version=2"]) + encode_lines(["capability=clean", "capability=smudge"])


def request(command: str, content: bytes) -> bytes:
    return encode_lines([f"command={command}", "pathname=a.bin"]) + b"%04x" % (len(content) + 4) + content + b"0000"


POINTER = pointer_of(b"weights").encode()
PATHS = [
    pytest.param(["version"], b"", START, id="version"),
    pytest.param(["post-checkout", "0" * 40, "1" * 40, "1"], b"", HOOK | own("post_checkout"), id="post-checkout"),
    pytest.param(["post-commit"], b"", HOOK | own("post_commit"), id="post-commit"),
    pytest.param(["post-merge", "0"], b"", HOOK | own("post_merge"), id="post-merge"),
    pytest.param(["pre-push", "origin", "http://h/r.git"], b"", START | own("pre_push"), id="pre-push"),
    pytest.param(["clean", "--", "a.bin"], b"weights", CLEAN | own("clean"), id="clean"),
    pytest.param(["smudge", "--", "a.bin"], POINTER, SMUDGE | HASH | own("smudge"), id="smudge"),
    pytest.param(
        ["filter-process"],
        HANDSHAKE + request("clean", b"weights") + request("smudge", POINTER),
        CLEAN | SMUDGE | own("filter_process") | {"hundredweight.client.sweep"},
        id="filter-process",
    ),
]


@pytest.mark.parametrize(("args", "stdin", "allowed"), PATHS)
def test_only_listed_modules_are_loaded(
    clone: Clone, interpreter: set[str], args: list[str], stdin: bytes, allowed: set[str]
) -> None:
    names = {name.replace("-", "_") for name in args[:1]}
    mine = {f"hundredweight.client.{name}" for name in names}
    loaded = imported(run(clone, args, stdin).stderr) - interpreter
    assert loaded - allowed - mine == set()
    assert not loaded & HEAVY


def test_the_list_has_nothing_heavy() -> None:
    assert not (CLEAN | SMUDGE | HOOK) & HEAVY
