from __future__ import annotations

from pathlib import Path

import pytest

from tests.people import Person

ATTRIBUTES = b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
WEIGHTS = bytes(range(256)) * 40


@pytest.fixture
def ann(tmp_path: Path) -> Person:
    person = Person("ann", tmp_path / "ann")
    person.run("git", "lfs", "install")
    return person


def test_info_prints_gits_own_table(ann: Person) -> None:
    repo = ann.repository("r")
    ann.commit(repo, {"a.bin": b"x" * 1500, "b.txt": b"y" * 20, "c.txt": b"z" * 20, "LICENSE": b"l"})
    done = ann.run("git", "lfs", "migrate", "info", cwd=repo)
    assert done.stdout == (
        "*.bin  \t1.5 KB\t1/1 file \t100%\n*.txt  \t40 B  \t2/2 files\t100%\nLICENSE\t1 B   \t1/1 file \t100%\n"
    )
    assert done.stderr == "Sorting commits: ..., done.\nExamining commits: 100% (1/1), done.\n"
    done = ann.run("git", "lfs", "migrate", "info", "--above=30b", "--top=1", "--unit=kib", cwd=repo)
    assert done.stdout == "*.bin\t1.5\t1/1 file \t100%\n"


def test_import_leaves_the_content_in_the_work_tree_and_status_clean(ann: Person) -> None:
    repo = ann.repository("r")
    ann.commit(repo, {"w.bin": WEIGHTS, "d e/ü.bin": WEIGHTS + b"2", "README": b"text\n"})
    done = ann.run("git", "lfs", "migrate", "import", "--include=*.bin", "--verbose", cwd=repo)
    assert "  commit " in done.stderr
    assert ": d e/ü.bin\n" in done.stderr
    assert "Rewriting commits: 100% (1/1), done.\n" in done.stderr
    assert done.stderr.endswith("Updating refs: ..., done.\nCheckout: ..., done.\n")
    assert (repo / "w.bin").read_bytes() == WEIGHTS
    assert (repo / "d e" / "ü.bin").read_bytes() == WEIGHTS + b"2"
    assert ann.git("status", "--porcelain", cwd=repo) == ""
    assert "oid sha256:" in ann.git("cat-file", "blob", "HEAD:w.bin", cwd=repo)
    assert "git lfs pre-push" in (repo / ".git" / "hooks" / "pre-push").read_text()
    assert ann.run("git", "lfs", "fsck", cwd=repo).stdout == "Git LFS fsck OK\n"


def test_import_asks_before_it_overrides_changes(ann: Person) -> None:
    repo = ann.repository("r")
    ann.commit(repo, {"w.bin": WEIGHTS})
    (repo / "new").write_bytes(b"mine")
    head = ann.git("rev-parse", "HEAD", cwd=repo)
    for answer in ("", "\n", "n\n", "what\nN\n"):
        done = ann.run("git", "lfs", "migrate", "import", cwd=repo, stdin=answer, check=False)
        assert done.returncode == 2
        assert "override changes in your working copy?  All uncommitted changes will be lost! [y/N] " in done.stderr
        assert done.stderr.endswith("working copy must not be dirty\n")
    assert ann.git("rev-parse", "HEAD", cwd=repo) == head
    done = ann.run("git", "lfs", "migrate", "import", cwd=repo, stdin="y\n")
    assert "changes in your working copy will be overridden ...\n" in done.stderr
    (repo / "w.bin").write_bytes(b"changed")
    ann.run("git", "lfs", "migrate", "import", "--yes", cwd=repo)
    assert (repo / "w.bin").read_bytes() == WEIGHTS


def test_import_without_rewriting_takes_paths_as_the_shell_gives_them(ann: Person) -> None:
    repo = ann.repository("r")
    (repo / "d").mkdir()
    (repo / ".gitattributes").write_bytes(ATTRIBUTES)
    (repo / "d" / "w.bin").write_bytes(WEIGHTS)
    off = ("-c", "filter.lfs.process=", "-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false")
    ann.git(*off, "add", ".", cwd=repo)
    ann.git(*off, "commit", "-q", "-m", "raw", cwd=repo)
    ann.run("git", "lfs", "migrate", "import", "--no-rewrite", "--yes", "-m", "now in LFS", "w.bin", cwd=repo / "d")
    assert ann.git("log", "--format=%s", cwd=repo) == "now in LFS\nraw"
    assert "oid sha256:" in ann.git("cat-file", "blob", "HEAD:d/w.bin", cwd=repo)
    assert (repo / "d" / "w.bin").read_bytes() == WEIGHTS
    assert ann.git("status", "--porcelain", cwd=repo) == ""


def test_where_no_filter_is_installed_pointers_stay(tmp_path: Path) -> None:
    bob = Person("bob", tmp_path / "bob")
    repo = bob.repository("r")
    bob.commit(repo, {"w.bin": WEIGHTS})
    bob.run("git", "lfs", "migrate", "import", cwd=repo)
    assert (repo / "w.bin").read_bytes().startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert bob.git("status", "--porcelain", cwd=repo) == ""


def test_bare_repositories_are_rewritten_too(ann: Person) -> None:
    repo = ann.repository("r")
    ann.commit(repo, {"w.bin": WEIGHTS})
    ann.git("clone", "-q", "--bare", str(repo), str(ann.home / "b.git"))
    ann.run("git", "lfs", "migrate", "import", "--everything", cwd=ann.home / "b.git")
    assert "oid sha256:" in ann.git("cat-file", "blob", "main:w.bin", cwd=ann.home / "b.git")


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("import", "--above=1b", "--include=*.x"), "Cannot use --above with --include, --exclude, --fixup"),
        (("import", "--fixup", "--exclude=*.x"), "Cannot use --fixup with --include, --exclude"),
        (("import", "--fixup", "--no-rewrite", "x"), "--no-rewrite and --fixup cannot be combined"),
        (("import", "--everything", "main"), "Cannot use --everything with explicit reference arguments"),
        (("info", "--pointers=maybe"), "Unsupported --pointers option value"),
        (("info", "--fixup", "--pointers=follow"), "Cannot use --fixup with --pointers=follow"),
        (("info", "--above=1 parsec"), 'cannot parse --above=<n>: unknown unit: "parsec"'),
        (("info", "--unit=x"), 'cannot parse --unit=<unit>: unknown unit: "x"'),
        (("info", "gone"), 'Git can\'t resolve ref: "gone"'),
        (("export", "--include=*"), "'git lfs migrate export' is not available yet"),
    ],
)
def test_refusals_in_git_lfs_words(ann: Person, args: tuple[str, ...], text: str) -> None:
    repo = ann.repository("r")
    ann.commit(repo, {"w.bin": WEIGHTS})
    done = ann.run("git", "lfs", "migrate", *args, cwd=repo, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == text
    assert done.stdout == ""


def test_without_a_mode_it_explains_itself(ann: Person) -> None:
    done = ann.run("git", "lfs", "migrate", cwd=ann.repository("r"), check=False)
    assert done.returncode == 2
    assert "usage: git lfs migrate" in done.stderr
