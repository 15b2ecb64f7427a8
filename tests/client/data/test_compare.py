"""What became of rows and files between two versions, against a plain count of the same."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.client.data import sides
from hundredweight.client.data.compare import Difference, compare
from hundredweight.client.data.rows import Columns
from hundredweight.client.data.survey import Reader, Survey, survey
from hundredweight.client.data.tables import Table
from hundredweight.lineage import experiments
from hundredweight.lineage.data import DataFile, data_versions
from hundredweight.lineage.record import Record
from tests.clones import Clone
from tests.running_hub import RunningHub

SIDE = sides.Side("x", "", ("data",))


class Texts:
    """Contents by path, in the place of a repository's."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def pieces(self, file: DataFile) -> list[bytes]:
        return [self.files[file.blob].encode()]


def difference(folder: Path, old: dict[str, str], new: dict[str, str]) -> Difference:
    texts = Texts({text: text for files in (old, new) for text in files.values()})
    listed = [[DataFile(path, text, len(text)) for path, text in sorted(files.items())] for files in (old, new)]
    return compare((SIDE, SIDE), (listed[0], listed[1]), texts, str(folder), Columns())  # type: ignore[arg-type]


def found_in(folder: Path, files: dict[str, str]) -> Survey:
    texts = Texts({text: text for text in files.values()})
    listed = [DataFile(path, text, len(text)) for path, text in sorted(files.items())]
    return survey(listed, Reader(texts, SIDE, Columns()), str(folder))  # type: ignore[arg-type]


ROW = st.tuples(st.sampled_from("abcdef"), st.sampled_from("xy"))
ROWS = st.lists(ROW, max_size=12)


def text(rows: list[tuple[str, str]]) -> str:
    return "text,label\n" + "".join(f"{a},{b}\n" for a, b in rows)


@given(ROWS, ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_rows_are_compared_as_multisets(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[tuple[str, str]],
    new: list[tuple[str, str]],
    kept: list[tuple[str, str]],
) -> None:
    folder = tmp_path_factory.getbasetemp()
    found = difference(
        folder,
        {"data/train.csv": text(old), "data/test.csv": text(kept)},
        {"data/train.csv": text(new), "data/test.csv": text(kept)},
    )
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    paired = Counter(a for a, _ in gone.elements()) & Counter(a for a, _ in come.elements())
    assert found.changed.total() == found.relabelled.total() == paired.total()
    assert found.removed.total() == gone.total() - paired.total()
    assert found.added.total() == come.total() - paired.total()
    assert found.moves.total() == found.renamed == 0
    assert found.before.total == len(old) + len(kept)
    assert found.after.counts["test", "x"] == sum(label == "x" for _, label in kept)


@given(ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_leaks_repeats_and_conflicts_are_those_that_a_plain_count_finds(
    tmp_path_factory: pytest.TempPathFactory, train: list[tuple[str, str]], test: list[tuple[str, str]]
) -> None:
    found = found_in(tmp_path_factory.getbasetemp(), {"data/train.csv": text(train), "data/test.csv": text(test)})
    seen = {a for a, _ in train}
    leaking = [a for a, _ in test if a in seen]
    assert [(leak.splits, leak.items, leak.rows) for leak in found.leaks] == (
        [(("train", "test"), len(set(leaking)), len(leaking))] if leaking else []
    )
    assert found.repeated["train"] == len(train) - len(seen)
    labels: dict[str, set[str]] = {}
    for a, label in train + test:
        labels.setdefault(a, set()).add(label)
    assert found.conflicts == sum(len(names) > 1 for names in labels.values())


@given(st.dictionaries(st.integers(0, 9), ROW), st.dictionaries(st.integers(0, 9), ROW))
@settings(max_examples=60, deadline=None)
def test_rows_with_ids_are_compared_by_them(
    tmp_path_factory: pytest.TempPathFactory, old: dict[int, tuple[str, str]], new: dict[int, tuple[str, str]]
) -> None:
    def file(rows: dict[int, tuple[str, str]]) -> dict[str, str]:
        return {"data/train.csv": "id,text,label\n" + "".join(f"{n},{a},{b}\n" for n, (a, b) in rows.items())}

    found = difference(tmp_path_factory.getbasetemp(), file(old), file(new))
    both = old.keys() & new.keys()
    assert found.added.total() == len(new.keys() - old.keys())
    assert found.removed.total() == len(old.keys() - new.keys())
    assert found.changed.total() == sum(old[key] != new[key] for key in both)
    assert found.relabelled.total() == sum(old[key][1] != new[key][1] for key in both)


def test_an_id_makes_changed_of_removed_and_added(tmp_path: Path) -> None:
    old = {"data/train.csv": "id,text,label\n1,one,a\n2,two,a\n3,three,b\n"}
    new = {"data/train.csv": "label,id,text\na,1,one\nb,2,two\nb,4,three\na,9,nine\n"}
    found = difference(tmp_path, old, new)
    assert (found.changed, found.relabelled) == (Counter({("train", "b"): 1}), Counter({("a", "b"): 1}))
    assert found.removed == Counter({("train", "b"): 1})
    assert found.added == Counter({("train", "b"): 1, ("train", "a"): 1})


def test_a_row_in_another_split_has_moved(tmp_path: Path) -> None:
    old = {"data/train.csv": "text,label\none,a\ntwo,b\n", "data/test.csv": "text,label\nthree,a\n"}
    new = {"data/train.csv": "text,label\none,a\n", "data/test.csv": "text,label\nthree,a\ntwo,b\n"}
    found = difference(tmp_path, old, new)
    assert found.moves == Counter({("train", "test"): 1})
    assert not found.added
    assert not found.removed
    assert not found.changed
    joined = {"data/all.csv": "text,label,split\none,a,train\ntwo,b,test\nthree,a,test\n"}
    assert difference(tmp_path, new, joined).same is False
    assert not difference(tmp_path, new, joined).moves


def test_files_of_one_item_are_known_by_content_and_path(tmp_path: Path) -> None:
    old = {f"data/train/cat/{n}.png": f"cat {n}" for n in range(4)} | {"data/README.md": "one"}
    new = {
        "data/train/cat/0.png": "cat 0",
        "data/train/dog/1.png": "cat 1",
        "data/test/cat/2.png": "cat 2",
        "data/train/cat/3.png": "other",
        "data/train/cat/4.png": "cat 4",
        "data/README.md": "two",
    }
    found = difference(tmp_path, old, new)
    assert found.relabelled == Counter({("cat", "dog"): 1})
    assert found.moves == Counter({("train", "test"): 1})
    assert found.changed == Counter({("train", "dog"): 1, ("train", "cat"): 1})
    assert found.added == Counter({("train", "cat"): 1})
    assert not found.removed
    assert found.file_counts == Counter({"added": 3, "removed": 2, "changed": 2})
    assert found.after.noun == "items"


def test_many_records_go_to_disk_and_come_back_by_their_hash(tmp_path: Path) -> None:
    with Table(4, str(tmp_path / "new"), limit=64) as table:
        records = [bytes((n * 7 % 256, n // 256, n % 256, 1)) for n in range(1000)]
        for record in records:
            table.add(record)
        assert len(list((tmp_path / "new").iterdir())) == 1
        found = list(table.buckets())
        assert [len({record[0] for record in bucket}) for bucket in found] == [1] * 256
        assert sorted(record for bucket in found for record in bucket) == sorted(records)
        assert list(table.buckets()) == found
    assert list((tmp_path / "new").iterdir()) == []


def test_a_target_of_many_values_is_counted_as_one(tmp_path: Path) -> None:
    rows = "".join(f"row {n},{n / 7}\n" for n in range(1500))
    found = found_in(tmp_path, {"data/train.csv": "text,target\n" + rows})
    labels = found.by_split("train")
    assert labels["(others)"] == 500
    assert len(labels) == 1001


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "repo")
    made.write("hundredweight.toml", b'[data]\npaths = ["data"]\nversion = "v1"\n')
    made.write(".gitattributes", b"data/train.csv filter=lfs diff=lfs merge=lfs -text\n")
    made.put("data/train.csv", b"text,label\none,a\ntwo,b\n")
    made.write("data/test.csv", b"text,label\ntwo,b\n")
    made.commit()
    made.git.output("tag", "v1")
    return made


def cwt(clone: Clone, env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cwt", "data", *args], cwd=clone.folder, env=env, capture_output=True, text=True, check=False
    )


def test_commands_read_pointers_of_a_revision_and_files_of_the_work_tree(clone: Clone, git_env: dict[str, str]) -> None:
    done = cwt(clone, git_env, "status", "v1", "--json")
    status = json.loads(done.stdout)
    assert status["splits"] == {
        "train": {"total": 2, "labels": {"a": 1, "b": 1}},
        "test": {"total": 1, "labels": {"b": 1}},
    }
    assert status["leaks"][0]["examples"] == [["data/train.csv:3", "data/test.csv:2"]]
    assert (
        "leakage: 1 row of test is in train too (data/train.csv:3 and data/test.csv:2)"
        in cwt(clone, git_env, "status").stdout
    )
    assert cwt(clone, git_env, "diff").stdout == "the data is the same\n"
    clone.write("data/train.csv", b"text,label\none,b\nthree,a\n")
    clone.write("data/val.jsonl", b'{"text": "new", "label": "a"}\n')
    done = cwt(clone, git_env, "diff", "--exit-code")
    assert done.returncode == 1
    assert done.stdout.startswith("rows: 2 added, 1 removed, 1 changed (3 -> 4); files: 1 added, 1 changed")
    assert "no longer leaking: 1 row of test (in train too before)" in done.stdout
    report = json.loads(cwt(clone, git_env, "diff", "--json").stdout)
    assert report["totals"] == {"added": 2, "removed": 1, "changed": 1, "moved": 0, "renamed": 0}
    assert "| train | b | 1 | 1 |  | 1 | 1 |" in cwt(clone, git_env, "diff", "v1", "--md").stdout
    clone.commit()
    assert json.loads(cwt(clone, git_env, "diff", "v1", "HEAD", "--json").stdout)["totals"] == report["totals"]


def test_what_is_not_here_is_told_and_what_is_no_revision_too(clone: Clone, git_env: dict[str, str]) -> None:
    clone.write(
        "data/train.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 12345\n"
    )
    clone.commit()
    done = cwt(clone, git_env, "status", "HEAD")
    assert done.returncode == 1
    assert done.stderr == (
        "error: the content of 'data/train.csv' is not here\nhint: run the command with --fetch to download it\n"
    )
    done = cwt(clone, git_env, "diff", "nowhere")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: 'nowhere' is no revision")
    done = cwt(clone, git_env, "status", "v1", "--path", "elsewhere")
    assert done.stdout.startswith("elsewhere: v1 (nothing there), 0 files")
    (clone.folder / "hundredweight.toml").unlink()
    clone.commit()
    done = cwt(clone, git_env, "status")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: no data paths are known")


def test_fetch_downloads_what_rows_need_and_packs_are_read(hub: RunningHub, tmp_path: Path) -> None:
    ada = hub.person(tmp_path / "ada", "ada")
    ada.run("git", "lfs", "install")
    folder = ada.repository("made")
    rows = b"text,label\n" + b"".join(b"this is row %d,a\n" % number for number in range(8000))
    ada.commit(
        folder,
        {
            "hundredweight.toml": b'[data]\npaths = ["data"]\n',
            ".gitattributes": b"*.csv filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n",
            "data/train.csv": rows,
            "data/images/train/cat/1.png": b"\x89PNG",
        },
    )
    name = hub.new_name()
    ada.git("push", "-q", hub.remote(name), "main", cwd=folder)
    ada.run("git", "clone", "-q", hub.remote(name), "other", GIT_LFS_SKIP_SMUDGE="1")
    other = ada.home / "other"
    done = ada.run("cwt", "data", "status", "--fetch", cwd=other)
    assert done.stdout.splitlines()[3].split() == ["train", "8,001", "a", "8,000,", "cat", "1"]
    ada.run("cwt", "pack", cwd=other)
    assert not [path for path in (other / ".git" / "lfs" / "objects").rglob("*") if path.is_file()]
    held = json.loads(ada.run("cwt", "du", "--json", cwd=other).stdout)
    assert (held["objects"], held["missing"]) == (1, 1), "an item needs no content"
    assert ada.run("cwt", "data", "status", "HEAD", cwd=other).stdout == done.stdout


def test_a_list_tells_who_used_which_version(clone: Clone, git_env: dict[str, str]) -> None:
    head = clone.git.text("rev-parse", "HEAD")
    data = data_versions(clone.git, head, ["data"], "v1")
    for number in range(3):
        made = Record(
            f"20261123-140000-a{number}", name=f"run-{number}", data=data, started=f"2026-11-23T14:00:0{number}Z"
        )
        experiments.write(clone.git, head, made, {})
    assert "used by 3 experiments: run-0, run-1, run-2" in cwt(clone, git_env, "status", "v1").stdout
    line = cwt(clone, git_env, "experiments").stdout.splitlines()[1].split()
    assert line[:3] == ["*", "data", "v1"]
    assert line[-4:] == ["3", "run-0,", "run-1,", "run-2"]
    listed = json.loads(cwt(clone, git_env, "experiments", "--json").stdout)
    assert [made["id"] for made in listed[0]["experiments"]] == [f"20261123-140000-a{n}" for n in range(3)]
