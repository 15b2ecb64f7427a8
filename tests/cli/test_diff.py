"""`cwt diff`, `cwt log`, `cwt show` and git's drivers as a user runs them."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hundredweight.client.history_view import driver_config
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git
from hundredweight.store.packing import LooseItem, pack_loose
from tests.cli.diff_cases import arrays, weights
from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub

ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"
WHOLE = weights(arrays())


def changed(**replaced: Any) -> bytes:
    """The weights with some tensors replaced; dots of their names are two underscores."""
    return weights({**arrays(), **{name.replace("__", "."): array for name, array in replaced.items()}})


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("test", tmp_path / "home")


@pytest.fixture
def clone(person: Person) -> Path:
    """A commit with a model, its configuration and a text; git's drivers are configured."""
    folder = person.repository("r")
    person.git("lfs", "install", "--local", cwd=folder)
    for key, value in driver_config():
        person.git("config", key, value, cwd=folder)
    files = {
        ".gitattributes": ATTRIBUTES,
        "m/model.safetensors": WHOLE,
        "m/config.json": b'{"size": 4, "act": {"f": "relu"}}',
    }
    person.commit(folder, {**files, "text": b"one\n"}, "first")
    return folder


def edit(person: Person, clone: Path) -> None:
    """The second commit: one tensor, one hyper-parameter, one line."""
    new = changed(head__weight=arrays(scale=2)["head.weight"])
    files = {"m/model.safetensors": new, "m/config.json": b'{"size": 8, "act": {"f": "relu"}}', "text": b"two\n"}
    person.commit(clone, files, "second")


TABLE = """\
weights m/model.safetensors
  safetensors, 781 B, 80 parameters
  tensors: 1 changed, 5 unchanged
  config.json: size = 4 -> 8

TENSOR       CHANGE   TYPE  SHAPE  CHANGED  REL L2  MAX ABS    COSINE
head.weight  changed  F32   2x4     87.50%       1        7  1.000000
"""
PATCH = """\
diff --git a/text b/text
index 5626abf..f719efd 100644
--- a/text
+++ b/text
@@ -1 +1 @@
-one
+two
"""


def test_two_revisions(person: Person, clone: Path) -> None:
    edit(person, clone)
    for names in (["HEAD~", "HEAD"], ["HEAD~..HEAD"], ["HEAD~...HEAD"], ["HEAD~"]):
        shown = person.run("cwt", "diff", *names, "--", "m/model.safetensors", "text", cwd=clone).stdout
        assert shown == f"{TABLE.replace('  config.json: size = 4 -> 8' + chr(10), '')}\n{PATCH}", names
    whole = person.run("cwt", "diff", "HEAD~", "HEAD", cwd=clone / "m").stdout
    assert whole.startswith(f"{TABLE}\ndiff --git a/m/config.json")
    assert whole.endswith(PATCH)
    back = person.run("cwt", "diff", "-R", "HEAD~", "HEAD", "--", ":/m", cwd=clone).stdout
    assert "config.json: size = 8 -> 4" in back
    assert " 0.5 " in back


def test_the_work_tree_and_the_index(person: Person, clone: Path) -> None:
    assert person.run("cwt", "diff", cwd=clone).stdout == ""
    (clone / "m" / "model.safetensors").write_bytes(changed(head__weight=arrays(scale=2)["head.weight"]))
    before = person.run("cwt", "diff", cwd=clone).stdout
    assert "head.weight  changed" in before
    assert person.run("cwt", "diff", "--cached", cwd=clone).stdout == ""
    person.git("add", "-A", cwd=clone)
    assert person.run("cwt", "diff", cwd=clone).stdout == ""
    assert person.run("cwt", "diff", "--staged", cwd=clone).stdout == before
    assert person.run("cwt", "diff", "HEAD", cwd=clone).stdout == before


def test_what_is_not_about_weights_is_left_to_git(person: Person, clone: Path) -> None:
    edit(person, clone)
    for args in (["--name-only", "HEAD~"], ["--name-status", "HEAD~", "HEAD"], ["HEAD~", "--", "text"], ["HEAD~", "text"],
                 ["--shortstat", "HEAD~"], ["-U0", "HEAD~", "--", "text"], ["--raw", "HEAD~"]):  # fmt: skip
        assert person.run("cwt", "diff", *args, cwd=clone).stdout == person.git("diff", *args, cwd=clone) + "\n"
    stat = person.run("cwt", "diff", "--stat", "HEAD~", cwd=clone).stdout
    assert "head.weight  changed  F32   2x4\n" in stat
    assert " text          | 2 +-\n" in stat
    assert "model.safetensors |" not in stat


def test_exit_codes(person: Person, clone: Path) -> None:
    edit(person, clone)
    for args, code in (
        (["--exit-code", "HEAD~", "HEAD"], 1),
        (["--exit-code", "HEAD", "HEAD"], 0),
        (["--exit-code", "HEAD~", "HEAD", "--", "text"], 1),
        (["HEAD~", "HEAD"], 0),
        (["--quiet", "HEAD~", "HEAD"], 1),
        (["nothing", "HEAD"], 1),
    ):
        assert person.run("cwt", "diff", *args, cwd=clone, check=False).returncode == code, args
    said = person.run("cwt", "diff", "nothing", "HEAD", cwd=clone, check=False).stderr
    assert said.startswith("error: git diff failed: ambiguous argument 'nothing'")


def test_json(person: Person, clone: Path) -> None:
    edit(person, clone)
    person.commit(clone, {"data.bin": b"no weights"}, "third")
    found = json.loads(person.run("cwt", "diff", "--json", "HEAD~2", "HEAD", cwd=clone).stdout)
    assert sorted(found) == ["failed", "files", "models", "objects"]
    assert found["files"] == [{"name": "m/config.json", "status": "M"}, {"name": "text", "status": "M"}]
    assert [(item["name"], item["old"], item["new"]["size"]) for item in found["objects"]] == [("data.bin", None, 10)]
    model = found["models"][0]
    assert model["counts"] == {
        "changed": 1, "retyped": 0, "reshaped": 0, "renamed": 0, "added": 0, "removed": 0, "unchanged": 5,
    }  # fmt: skip
    assert model["metadata"] == [{"file": "config.json", "key": "size", "old": "4", "new": "8"}]
    assert model["tensors"][0]["statistics"] == {
        "unit": "elements", "compared": 8, "changed": 7, "changed_share": 0.875, "rows": None, "relative_l2": 1.0,
        "max_abs": 7.0, "cosine": 1.0, "nan": [0, 0], "infinite": [0, 0],
    }  # fmt: skip
    assert {layer["name"]: layer["heat"] for layer in model["layers"]} == {
        "embed": 0, "head": 8, "layers.0": 0, "layers.1": 0,
    }  # fmt: skip


def test_markdown(person: Person, clone: Path) -> None:
    edit(person, clone)
    assert (
        person.run("cwt", "diff", "--md", "HEAD~", "HEAD", cwd=clone).stdout
        == """\
### `m/model.safetensors`

- safetensors, 781 B, 80 parameters
- tensors: 1 changed, 5 unchanged
- config.json: size = 4 -> 8

| tensor | change | type | shape | changed | rel l2 | max abs | cosine |
|---|---|---|---|---:|---:|---:|---:|
| `head.weight` | changed | F32 | 2x4 | 87.50% | 1 | 7 | 1.000000 |

### Other files

- `m/config.json`
- `text`
"""
    )


def test_two_files(person: Person, clone: Path) -> None:
    edit(person, clone)
    (clone / "old").write_bytes(WHOLE)
    np.savez(clone / "other.npz", **arrays())
    model = "m/model.safetensors"
    for old, new in (("old", model), (f"HEAD~:{model}", f"HEAD:{model}"), ("old", f"HEAD:{model}")):
        shown = person.run("cwt", "diff", old, new, cwd=clone).stdout
        assert shown.splitlines()[0] == f"weights {old} -> {new}"
        assert "  tensors: 1 changed, 5 unchanged\n" in shown
    across = person.run("cwt", "diff", "--no-index", "old", "other.npz", cwd=clone).stdout
    assert "  old: safetensors, 781 B, 80 parameters\n" in across
    assert "  tensors: all 6 unchanged\n" in across
    assert '  metadata format = "pt" (removed)\n' in across
    # Outside a repository, and texts.
    (person.home / "a").write_text("a\n")
    (person.home / "b").write_text("b\n")
    texts = person.run("cwt", "diff", "--no-index", "a", "b", check=False)
    assert (texts.returncode, texts.stdout.splitlines()[-2:]) == (1, ["-a", "+b"])


def test_shards_are_one_model(person: Person, clone: Path) -> None:
    tensors = arrays()
    tensors["layers.1.bias"] = tensors["layers.1.bias"] + 1
    names = list(tensors)
    (clone / "m" / "model.safetensors").unlink()
    shards = {
        "m/model-00001-of-00002.safetensors": weights({name: tensors[name] for name in names[:2]}),
        "m/model-00002-of-00002.safetensors": weights({name: tensors[name] for name in names[2:]}),
    }
    person.commit(clone, shards, "shards")
    shown = person.run("cwt", "diff", "HEAD~", cwd=clone).stdout
    assert shown.startswith("weights m/model.safetensors\n")
    assert ", 2 files\n  tensors: 1 changed, 5 unchanged\n" in shown
    # A tensor that moves to another shard; the shard that stays is not looked at.
    moved = {"m/model-00001-of-00002.safetensors": weights({name: tensors[name] for name in names[:3]})}
    moved["m/model-00002-of-00002.safetensors"] = weights({name: tensors[name] for name in names[3:]})
    person.commit(clone, moved, "moved")
    assert "  tensors: all 6 unchanged\n" in person.run("cwt", "diff", "HEAD~", cwd=clone).stdout


def test_a_renamed_file(person: Person, clone: Path) -> None:
    person.git("mv", "m/model.safetensors", "m/a b.safetensors", cwd=clone)
    person.commit(clone)
    shown = person.run("cwt", "diff", "HEAD~", "HEAD", cwd=clone).stdout
    assert shown == (
        "weights m/a b.safetensors\n  renamed from m/model.safetensors\n"
        "  safetensors, 781 B, 80 parameters\n  tensors: all 6 unchanged\n"
    )
    # A pointer that is another one has too little in common with the old one for git to see that it is the same file.
    person.commit(clone, {"m/a b.safetensors": changed(head__weight=arrays(scale=2)["head.weight"])}, "changed")
    driver = person.git("diff", "-M40%", "HEAD~2", "HEAD", cwd=clone)
    assert driver.startswith("weights m/model.safetensors -> m/a b.safetensors\n")
    assert "  tensors: 1 changed, 5 unchanged\n" in driver


def test_missing_objects_and_fetch(person: Person, clone: Path) -> None:
    edit(person, clone)
    remote = person.home / "remote.git"
    person.git("init", "-q", "--bare", str(remote))
    person.git("remote", "add", "origin", str(remote), cwd=clone)
    person.git("push", "-q", "origin", "main", cwd=clone)
    person.git("clone", "-q", str(remote), "second", GIT_LFS_SKIP_SMUDGE="1")
    second = person.home / "second"
    done = person.run("cwt", "diff", "HEAD~", "HEAD", cwd=second, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: cannot open 'm/model.safetensors': it is a pointer, and its object 287e4836dd00 is not here\n"
        "hint: run 'cwt diff --fetch 'HEAD~' HEAD' to download it\n"
    )
    assert done.stdout.endswith(PATCH)
    assert person.run("cwt", "diff", "--fetch", "HEAD~", "HEAD", cwd=second).stdout.startswith(TABLE)
    # Shown once, its hashes are kept: what changed is known even when the objects are gone.
    person.run("cwt", "log", "-p", "--no-ext-diff", cwd=second)
    for path in (second / ".git" / "lfs" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    known = person.run("cwt", "diff", "HEAD~", "HEAD", cwd=second).stdout
    assert "  tensors: 1 changed, 5 unchanged\n  no statistics: object " in known
    assert "head.weight  changed  F32   2x4\n" in known


@pytest.mark.parametrize("command", [["log", "-p", "-1"], ["show"], ["show", "--format=%s", "HEAD"]])
def test_log_and_show(person: Person, clone: Path, command: list[str]) -> None:
    edit(person, clone)
    # Whatever filter the user has, it is not run: memory stays flat.
    person.git("config", "filter.lfs.process", "false", cwd=clone)
    person.git("config", "filter.lfs.smudge", "false", cwd=clone)
    person.git("config", "--remove-section", "diff.lfs", cwd=clone)
    shown = person.run("cwt", *command, cwd=clone / "m").stdout
    assert TABLE.replace("  config.json: size = 4 -> 8\n", "") in shown
    assert shown.endswith(PATCH)
    lines = person.run("cwt", *command, "--no-ext-diff", cwd=clone).stdout
    assert "-head.weight F32 2x4 c18eea7ae19ca0c0\n+head.weight F32 2x4 " in lines
    assert (
        person.run("cwt", *command, "--name-only", cwd=clone).stdout
        == person.git(*command, "--name-only", cwd=clone) + "\n"
    )
    assert person.run("cwt", command[0], "--no-such-option", cwd=clone, check=False).returncode == 128


def test_textconv_of_anything(person: Person, clone: Path) -> None:
    lines = person.run("cwt", "textconv", "m/model.safetensors", cwd=clone).stdout.splitlines()
    assert lines[:3] == ["safetensors 6 tensors", 'metadata format = "pt"', "embed.weight F32 8x4 79bf9e8cb4726d78"]
    pointer = person.git("show", "HEAD:m/model.safetensors", "--no-textconv", cwd=clone)
    (person.home / "pointer").write_text(pointer + "\n")
    assert person.run("cwt", "textconv", str(person.home / "pointer"), cwd=clone).stdout.splitlines() == lines
    for content, told in (
        (
            WHOLE[:-1],
            "damaged: the tensors end at byte 781, the file has 780: it is cut short (at byte 780)\noid sha256:",
        ),
        (b"text", "oid sha256:982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1\nsize 4\n"),
        (b"", "oid sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nsize 0\n"),
    ):
        (clone / "-x").write_bytes(content)
        assert person.run("cwt", "textconv", "-x", cwd=clone).stdout.startswith(told)
    assert person.run("cwt", "textconv", "none", cwd=clone).stdout.startswith("unreadable: cannot open 'none'")


def test_damage_does_not_stop_git(person: Person, clone: Path) -> None:
    edit(person, clone)
    for path in (clone / ".git" / "lfs" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(
                path.read_bytes()[:-3] + b"\xff\xff\xff" if path.stat().st_size != 781 else b"\x02" + bytes(780)
            )
    (clone / "m" / "model.safetensors").unlink()
    # The filter would not let damaged objects through.
    person.env["GIT_LFS_SKIP_SMUDGE"] = "1"
    shown = person.run("git", "diff", "HEAD~", "HEAD", cwd=clone)
    assert "object m/model.safetensors\n" in shown.stdout
    assert shown.stdout.endswith(PATCH)
    assert person.run("git", "show", "HEAD", cwd=clone).stdout.endswith(PATCH)
    assert person.run("cwt", "show", "HEAD", cwd=clone).stdout.endswith(PATCH)


def test_an_unmerged_path(person: Person, clone: Path) -> None:
    person.git("checkout", "-q", "-b", "other", cwd=clone)
    person.commit(clone, {"m/model.safetensors": changed(head__weight=arrays(scale=3)["head.weight"])}, "theirs")
    person.git("checkout", "-q", "main", cwd=clone)
    edit(person, clone)
    person.git("merge", "other", cwd=clone, check=False)
    assert person.git("diff", cwd=clone).startswith("diff --cc m/model.safetensors\n")
    assert person.run("cwt", "diff", cwd=clone).returncode == 0
    driven = person.run("cwt", "diff-driver", "m/model.safetensors", cwd=clone).stdout
    assert driven == "* Unmerged path m/model.safetensors\n"


def test_names_do_not_reach_the_terminal_raw(person: Person, clone: Path) -> None:
    evil = {**arrays(), "a\x1b[2J\n": np.ones(1, np.float32)}
    person.commit(clone, {"m/model.safetensors": weights(evil, {"k\x1b": "\x07"})}, "evil")
    for command in (
        ["git", "diff", "HEAD~"],
        ["git", "show"],
        ["cwt", "diff", "HEAD~"],
        ["cwt", "diff", "--md", "HEAD~"],
    ):
        shown = person.run(*command, cwd=clone).stdout
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "a\\x1b[2J\\n" in shown


def test_a_terminal_gets_the_heat_strip_and_a_pager(person: Person, clone: Path) -> None:
    stack = {f"layers.{n}.w": np.ones(4, np.float32) for n in range(3)}
    person.commit(clone, {"s.safetensors": weights(stack)})
    stack["layers.1.w"] = stack["layers.1.w"] * np.float32(1.02)
    person.commit(clone, {"s.safetensors": weights(stack)})
    coloured = person.run("cwt", "diff", "--color=always", "HEAD~", cwd=clone).stdout
    assert "  heat layers.0-2  \x1b[38;5;240m·\x1b[0m\x1b[38;5;148m▅\x1b[0m\x1b[38;5;240m·\x1b[0m\n" in coloured
    ours, theirs = pty.openpty()
    env = {**person.env, "GIT_PAGER": "sed s/^/paged:/", "TERM": "dumb"}
    command = [str(PROGRAMS / "cwt"), "diff", "--no-color", "HEAD~"]
    subprocess.run(command, cwd=clone, env=env, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    assert "paged:  heat layers.0-2  ·▅·\n" in shown
    assert all(line.startswith("paged:") for line in shown.splitlines())


def test_textconv_starts_without_numpy(person: Person, clone: Path) -> None:
    command = [sys.executable, "-X", "importtime", str(PROGRAMS / "cwt"), "textconv", "m/model.safetensors"]
    told = subprocess.run(command, cwd=clone, env=person.env, capture_output=True, text=True, check=True).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "hundredweight.client.summary" in loaded
    assert not loaded & {"numpy", "urllib3", "subprocess", "concurrent.futures"}


@pytest.mark.parametrize("name", ["diff", "log", "show", "textconv", "diff-driver"])
def test_help(person: Person, name: str) -> None:
    assert f"usage: cwt {name}" in person.run("cwt", name, "--help").stdout


def test_two_urls(hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("work")
    ada.git("lfs", "install", "--local", cwd=folder)
    large = {"w": np.arange(100_000, dtype=np.float32)}
    ada.commit(
        folder,
        {".gitattributes": ATTRIBUTES, "m.safetensors": weights({**arrays(), **large}), "config.json": b'{"a": 1}'},
    )
    ada.git("tag", "v1", cwd=folder)
    large["w"] = large["w"] * np.float32(2)
    ada.commit(folder, {"m.safetensors": weights({**arrays(), **large}), "config.json": b'{"a": 2}'})
    url = hub.remote(hub.new_name())
    ada.git("push", "-q", url, "main", "v1", cwd=folder)
    old, new = f"{url}@v1:m.safetensors", f"{url}@main:m.safetensors"
    shown = ada.run("cwt", "diff", old, new).stdout
    assert shown.startswith(f"weights {old} -> {new}\n")
    assert "  tensors: 1 changed, 6 unchanged\n  config.json: a = 1 -> 2\n" in shown
    assert " ".join(shown.splitlines()[-1].split()) == "w changed F32 100000 99.99% 1 1e+05 1.000000"
    assert "  tensors: all 7 unchanged\n" in ada.run("cwt", "diff", new, "m.safetensors", cwd=folder).stdout


def test_packed_objects(person: Person, clone: Path) -> None:
    """Packs are read, and their recipes tell which tensors changed."""
    large = {"w": np.arange(40_000, dtype=np.float32)}
    person.commit(clone, {"m/model.safetensors": weights({**arrays(), **large})}, "large")
    person.commit(clone, {"m/model.safetensors": weights({**arrays(), "w": large["w"] * np.float32(2)})}, "doubled")
    before = [person.run(*command, cwd=clone).stdout for command in COMMANDS]
    store = open_workspace(Git(str(clone)), person.env).store
    items = [LooseItem(oid) for oid, size in store.ids() if size > 100_000]
    pack_loose(store, items)
    for item in items:
        store.drop_loose(item.oid)
        assert store.is_packed(item.oid)
        assert not Path(store.path(item.oid)).exists()
    store.close()
    (clone / "m" / "model.safetensors").unlink()
    shutil.rmtree(clone / ".git" / "hundredweight")
    assert [person.run(*command, cwd=clone).stdout for command in COMMANDS] == before


COMMANDS = (
    ["cwt", "diff", "HEAD~", "HEAD"],
    ["cwt", "diff", "--stat", "HEAD~", "HEAD"],
    ["cwt", "show"],
    ["cwt", "show", "--no-ext-diff"],
)
