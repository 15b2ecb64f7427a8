from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hundredweight.client.migrate.blobs import SMALL
from hundredweight.client.migrate.convert import Move, convert
from hundredweight.client.migrate.newobjects import NewObjects
from hundredweight.client.migrate.plan import Choice
from hundredweight.client.migrate.selection import MigrateError, Selection
from hundredweight.client.migrate.trees import MAX_DEPTH
from hundredweight.git.run import Git
from hundredweight.git.trees import Entry, encode_tree
from tests.client.histories import History, Quiet

WEIGHTS = bytes(range(256)) * 8


def run(
    history: History, choice: Choice | None = None, listener: Quiet | None = None, **selection: object
) -> list[Move]:
    chosen = Selection(**selection)  # type: ignore[arg-type]
    return convert(history.workspace(), chosen, choice or Choice(), listener or Quiet())


def use_attributes(history: History) -> None:
    """Bring the new commit's attributes to where git reads them."""
    history.git.output("read-tree", "HEAD")
    history.git.output("checkout-index", "--force", "--", ".gitattributes")


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "repo")


def test_every_version_becomes_a_pointer_whose_object_is_in_the_store(history: History) -> None:
    first = history.commit({"w.bin": WEIGHTS, "README": b"text\n"})
    history.commit({"w.bin": WEIGHTS * 2})
    listener = Quiet()
    run(history, Choice(include=["*.bin"]), listener)
    store = history.workspace().store
    for rev, content in (("HEAD~1", WEIGHTS), ("HEAD", WEIGHTS * 2)):
        pointer = history.pointer(f"{rev}:w.bin")
        assert pointer is not None
        assert pointer.oid == hashlib.sha256(content).hexdigest()
        assert Path(store.path(pointer.oid)).read_bytes() == content
        assert history.content(f"{rev}:README") == b"text\n"
        assert history.content(f"{rev}:.gitattributes") == b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
    assert (listener.total, listener.done) == (2, 2)
    assert (first, "w.bin") in listener.files
    assert set(listener.moves) == {"main"}
    history.check()


def test_without_patterns_extensions_are_tracked_as_they_appear(history: History) -> None:
    history.commit({"a.bin": b"one"})
    history.commit({"b.pt": b"two", "LICENSE": b"three"})
    run(history)
    assert history.content("HEAD~1:.gitattributes").count(b"\n") == 1
    lines = history.content("HEAD:.gitattributes").decode().splitlines()
    assert [line.split()[0] for line in lines] == ["*.bin", "/LICENSE", "*.pt"]
    assert all(history.pointer(f"HEAD:{path}") for path in ("a.bin", "b.pt", "LICENSE"))


def test_files_that_git_reads_itself_stay_what_they_are(history: History) -> None:
    own = dict.fromkeys((".gitignore", ".gitmodules", "sub/.gitattributes", ".lfsconfig"), b"# text long enough\n")
    history.commit({**own, "w.bin": WEIGHTS})
    run(history)
    for name, content in own.items():
        assert history.content(f"HEAD:{name}") == content


def test_above_names_each_path_and_leaves_smaller_files_alone(history: History) -> None:
    history.commit({"big one.bin": WEIGHTS, "sub/[x]*.bin": WEIGHTS + b"x", "small.bin": b"s"})
    run(history, Choice(above=len(WEIGHTS)))
    assert history.pointer("HEAD:big one.bin")
    assert history.content("HEAD:small.bin") == b"s"
    lines = history.content("HEAD:.gitattributes").decode().splitlines()
    assert lines == [
        "/big[[:space:]]one.bin filter=lfs diff=lfs merge=lfs -text",
        "/sub/\\[x\\]\\*.bin filter=lfs diff=lfs merge=lfs -text",
    ]
    use_attributes(history)
    tracked = history.git.text("check-attr", "filter", "--", "big one.bin", "sub/[x]*.bin", "sub/x.bin", "small.bin")
    assert [line.rsplit(" ", 1)[1] for line in tracked.splitlines()] == ["lfs", "lfs", "unspecified", "unspecified"]


def test_git_reads_the_line_of_every_name_as_that_name_alone(history: History) -> None:
    names = ["a#b", '"q"', "tab\there", "line\nend", "back\\slash", "*star", "!bang", "[br]", "ünï", "sp ace", "x]"]
    history.commit({f"d/{name}": WEIGHTS + name.encode() for name in names})
    run(history, Choice(above=1))
    use_attributes(history)
    out = history.git.fields("ls-files", "-z", ":(attr:filter=lfs)")
    assert sorted(out) == sorted(f"d/{name}" for name in names)


def test_existing_attributes_are_kept_byte_by_byte(history: History) -> None:
    theirs = b"# ours\r\n*.md text\r\n\n\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.md -text"
    history.commit({".gitattributes": theirs, "w.bin": WEIGHTS, "x.pt": WEIGHTS})
    run(history, Choice(include=["*.bin", "*.pt"], exclude=["*.txt"]))
    assert history.content("HEAD:.gitattributes") == (
        theirs + b"\n*.pt filter=lfs diff=lfs merge=lfs -text\n*.txt !text -filter -merge -diff\n"
    )


def test_a_linked_gitattributes_stops_it_and_nothing_moved(history: History) -> None:
    history.commit({"attrs": b"", "w.bin": WEIGHTS})
    os.symlink("attrs", history.folder / ".gitattributes")
    before = history.commit({})
    with pytest.raises(MigrateError, match="got a symbolic link"):
        run(history, Choice(include=["*.bin"]))
    assert history.git.text("rev-parse", "HEAD") == before
    assert not list((history.folder / ".git" / "lfs" / "tmp").iterdir())


def test_modes_links_and_pointers_survive(history: History) -> None:
    (history.folder / "run.bin").write_bytes(WEIGHTS)
    (history.folder / "run.bin").chmod(0o755)
    os.symlink("run.bin", history.folder / "link.bin")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 5\n" % (b"ab" * 32)
    history.commit({"old.bin": pointer, "empty.bin": b""})
    run(history, Choice(include=["*.bin"]))
    listed = dict(line.split("\t")[::-1] for line in history.git.text("ls-tree", "HEAD").splitlines())
    assert listed["run.bin"].startswith("100755 ")
    assert listed["link.bin"].startswith("120000 ")
    assert history.content("HEAD:old.bin") == pointer
    assert history.content("HEAD:empty.bin") == b""


def test_commits_keep_what_they_said_but_for_signatures(history: History) -> None:
    tree = history.git.text("rev-parse", history.commit({"w.bin": WEIGHTS}) + "^{tree}")
    raw = (
        f"tree {tree}\nauthor A \u00dc <a@b> 1 +0130\ncommitter C <> 2 -0500\n".encode("latin-1")
        + b"encoding ISO-8859-1\nx-other one\n two\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END\n"
        + b"\nsubject \xfc\n\nbody without a line end"
    )
    commit = history.git.text("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    history.git.output("update-ref", "refs/heads/main", commit)
    run(history, Choice(include=["*.bin"]))
    head, _, rest = history.git.output("cat-file", "commit", "HEAD").partition(b"\nauthor ")
    assert head != f"tree {tree}".encode()
    assert rest == (
        b"A \xdc <a@b> 1 +0130\ncommitter C <> 2 -0500\nencoding ISO-8859-1\nx-other one\n two\n"
        b"\nsubject \xfc\n\nbody without a line end"
    )


def test_what_does_not_change_keeps_its_id(history: History) -> None:
    first = history.commit({"README": b"no weights yet"})
    history.commit({"w.bin": WEIGHTS})
    run(history)
    assert history.git.text("rev-parse", "HEAD~1") != first  # the README has a name of its own
    again = history.git.text("rev-parse", "HEAD")
    moves = run(history)
    assert history.git.text("rev-parse", "HEAD") == again
    assert all(move.kept for move in moves)


def test_merges_keep_their_shape(history: History) -> None:
    history.commit({"base": b"b", "w.bin": WEIGHTS})
    history.git.output("checkout", "-q", "-b", "side")
    history.commit({"side.bin": WEIGHTS + b"side"})
    history.git.output("checkout", "-q", "main")
    history.commit({"main.bin": WEIGHTS + b"main"})
    history.git.output("merge", "-q", "--no-edit", "side")
    shape = history.git.text("log", "--all", "--format=%s|%an|%ad", "--topo-order")
    run(history, Choice(include=["*.bin"]), everything=True)
    assert history.git.text("log", "--all", "--format=%s|%an|%ad", "--topo-order") == shape
    parents = history.git.text("rev-list", "--parents", "-1", "HEAD").split()
    assert parents[1:] == history.git.text("rev-parse", "HEAD^1", "side").split()
    assert history.pointer("HEAD:side.bin")
    assert history.pointer("side:w.bin")


def test_tags_follow_annotated_signed_nested_and_light(history: History) -> None:
    history.commit({"w.bin": WEIGHTS})
    history.git.output("tag", "light")
    history.git.output("tag", "-a", "-m", "message\n\nmore", "inner")
    history.git.output("tag", "-a", "-m", "outer", "outer", "inner")
    signed = history.git.output("cat-file", "tag", "inner").replace(b"tag inner", b"tag signed")
    signed += b"-----BEGIN PGP SIGNATURE-----\n\nxyz\n-----END PGP SIGNATURE-----\n"
    made = history.git.text("hash-object", "-t", "tag", "-w", "--stdin", stdin=signed)
    history.git.output("update-ref", "refs/tags/signed", made)
    run(history, Choice(include=["*.bin"]), everything=True)
    head = history.git.text("rev-parse", "HEAD")
    for name in ("light", "inner", "outer", "signed"):
        assert history.git.text("rev-parse", name + "^{commit}") == head
    assert history.git.text("rev-parse", "outer^{tag}") != history.git.text("rev-parse", "inner^{tag}")
    assert b"PGP" not in history.git.output("cat-file", "tag", "signed")
    assert history.git.output("cat-file", "tag", "inner").endswith(b"\n\nmessage\n\nmore\n")


def test_a_detached_head_moves_too(history: History) -> None:
    history.commit({"w.bin": WEIGHTS})
    history.git.output("checkout", "-q", "--detach")
    run(history, Choice(include=["*.bin"]), everything=True)
    assert not history.git.ok("symbolic-ref", "-q", "HEAD")
    assert history.git.text("rev-parse", "HEAD") == history.git.text("rev-parse", "main")


def test_only_what_no_remote_has_is_rewritten(history: History) -> None:
    pushed = history.commit({"old.bin": WEIGHTS})
    history.git.output("update-ref", "refs/remotes/origin/main", pushed)
    history.commit({"new.bin": WEIGHTS + b"n"})
    run(history, Choice(include=["*.bin"]), skip_fetch=True)
    assert history.git.text("rev-parse", "HEAD~1") == pushed
    assert history.pointer("HEAD:new.bin")


def test_remotes_are_asked_and_their_failure_is_told(history: History) -> None:
    other = History(history.folder.parent / "other")
    history.commit({"w.bin": WEIGHTS})
    history.git.output("remote", "add", "origin", str(other.folder))
    listener = Quiet()
    run(history, Choice(include=["*.bin"]), listener)
    assert listener.fetched
    history.git.output("remote", "set-url", "origin", str(history.folder / "nowhere"))
    with pytest.raises(MigrateError, match="could not fetch remote references") as caught:
        run(history, Choice(include=["*.bin"]))
    assert "--skip-fetch" in caught.value.hint


def test_excluded_history_stays(history: History) -> None:
    first = history.commit({"w.bin": WEIGHTS})
    history.git.output("branch", "old")
    history.commit({"w.bin": WEIGHTS * 2})
    run(history, Choice(include=["*.bin"]), branches=["main", "^old"])
    assert history.git.text("rev-parse", "old", "HEAD~1").split() == [first, first]
    assert history.pointer("HEAD:w.bin")


def test_fixup_judges_each_commit_by_its_own_attributes(history: History) -> None:
    history.commit({"w.bin": WEIGHTS, "sub/w.bin": WEIGHTS})
    history.commit(
        {".gitattributes": b"[attr]weights filter=lfs\n*.bin weights\n", "sub/.gitattributes": b"*.bin !filter\n"}
    )
    run(history, Choice(fixup=True))
    assert history.content("HEAD~1:w.bin") == WEIGHTS
    assert history.pointer("HEAD:w.bin")
    assert history.content("HEAD:sub/w.bin") == WEIGHTS
    assert history.content("HEAD:.gitattributes").startswith(b"[attr]")


def test_large_blobs_are_streamed_and_shared(history: History) -> None:
    content = os.urandom(SMALL + 1)
    history.commit({"a.bin": content, "b/copy.bin": content})
    history.commit({"a.bin": content + b"x"})
    run(history, Choice(include=["*.bin"]))
    one, two = history.pointer("HEAD~1:a.bin"), history.pointer("HEAD:b/copy.bin")
    assert one == two
    assert one is not None
    assert Path(history.workspace().store.path(one.oid)).read_bytes() == content


def test_sha256_repositories(tmp_path: Path) -> None:
    history = History(tmp_path / "repo", "--object-format=sha256")
    history.commit({"d/w.bin": WEIGHTS})
    run(history, Choice(include=["*.bin"]))
    assert history.pointer("HEAD:d/w.bin")
    history.check()


def test_the_object_map_names_changed_commits_and_is_never_overwritten(history: History, tmp_path: Path) -> None:
    old = history.commit({"w.bin": WEIGHTS})
    where = tmp_path / "map.csv"
    convert(history.workspace(), Selection(), Choice(include=["*.bin"]), Quiet(), object_map=str(where))
    assert where.read_text() == f"{old},{history.git.text('rev-parse', 'HEAD')}\n"
    with pytest.raises(MigrateError, match="could not create object map file"):
        convert(history.workspace(), Selection(), Choice(), Quiet(), object_map=str(where))


def test_a_ref_that_moves_meanwhile_is_taken_as_it_is_then(history: History) -> None:
    history.commit({"w.bin": WEIGHTS})
    history.git.output("branch", "other")

    class Meddler(Quiet):
        def commit(self, number: int) -> None:
            history.git.output(
                "update-ref", "refs/heads/other", history.git.text("commit-tree", "HEAD^{tree}", "-m", "x")
            )

    # The refs are read after the commits were rewritten: what was moved before that is seen as it is.
    moves = run(history, Choice(include=["*.bin"]), Meddler(), everything=True)
    assert {move.ref.name for move in moves} == {"refs/heads/main"}


def test_contradictions_are_refused(history: History) -> None:
    history.commit({"w.bin": WEIGHTS})
    for selection, text in (
        ({"everything": True, "branches": ["main"]}, "Cannot use --everything with explicit reference arguments"),
        ({"everything": True, "include_refs": ["main"]}, "Cannot use --everything with --include-ref or --exclude-ref"),
        ({"branches": ["nowhere"]}, 'Git can\'t resolve ref: "nowhere"'),
    ):
        with pytest.raises(MigrateError) as caught:
            run(history, **selection)
        assert str(caught.value) == text


def test_a_repository_without_commits_is_told(history: History) -> None:
    with pytest.raises(MigrateError, match="can't resolve ref"):
        run(history)


def test_configured_extensions_are_refused(history: History) -> None:
    history.commit({"w.bin": WEIGHTS})
    history.git.output("config", "lfs.extension.x.clean", "cat")
    with pytest.raises(MigrateError, match="extension 'x', which migrate does not run"):
        run(history)


def test_a_tree_that_is_deeper_than_any_is_refused(history: History) -> None:
    with NewObjects(history.git, "sha1", str(history.folder)) as new:
        tree = new.add("tree", b"")
        for _ in range(MAX_DEPTH + 2):
            tree = new.add("tree", encode_tree([Entry(b"40000", b"a", tree)]))
        new.publish()
    commit = history.git.text("commit-tree", tree, "-m", "deep")
    history.git.output("update-ref", "refs/heads/main", commit)
    with pytest.raises(MigrateError, match="folders deep"):
        run(history)


names = st.text("abc.#*[]\\ \u00e9", min_size=1, max_size=6).filter(lambda name: name.strip(".") and name != ".git")
files = st.dictionaries(names.map(lambda name: f"d/{name}"), st.binary(max_size=40), max_size=4)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(files, min_size=1, max_size=3))
def test_law_smudging_every_commit_gives_back_every_byte(
    tmp_path_factory: pytest.TempPathFactory, versions: list[dict[str, bytes]]
) -> None:
    history = History(tmp_path_factory.mktemp("law") / "repo")
    commits = []
    present: dict[str, bytes] = {}
    for version in versions:
        removed: dict[str, bytes | None] = {path: None for path in present if path not in version}
        history.commit({**removed, **version})
        present = version
        commits.append(version)
    run(history, everything=True)
    store = history.workspace().store
    for back, version in enumerate(reversed(commits)):
        rev = f"HEAD~{back}"
        assert sorted(set(history.paths(rev)) - {".gitattributes"}) == sorted(version)
        for path, content in version.items():
            pointer = history.pointer(f"{rev}:{path}")
            assert pointer is not None
            assert (Path(store.path(pointer.oid)).read_bytes() if pointer.size else b"") == content
    Git(str(history.folder)).output("fsck", "--strict", "--no-dangling")
