"""What a version's folder is: whole, verified, read-only, nobody's hard link, and nothing outside of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.deploying import CONFIG, MODEL, Releases, Site
from tests.people import Person


def test_a_release_becomes_a_folder(site: Site, releases: Releases) -> None:
    done = site.deploy("model@v1.1.0", "--why", "the first", "--json")
    told = json.loads(done.stdout)
    assert (told["folder"], told["state"], told["what"]["release"]) == ("1-model@v1.1.0", "serving", "model@v1.1.0")
    assert told["what"]["commit"] == releases.person.git("rev-parse", "model@v1.1.0^{commit}", cwd=releases.folder)
    assert site.current == "1-model@v1.1.0"
    for name, data in releases.files["model@v1.1.0"].items():
        assert site.content(name) == data
    assert (site.folder / "current" / ".gitattributes").exists()
    assert not (site.folder / "current" / ".git").exists()
    assert site.events == ["begun", "ready", "switched", "healthy"]
    (one,) = site.told["deployments"]
    assert one["who"] == "eve <eve@example.com>"
    assert (one["why"], one["where"], one["kept"]) == ("the first", str(site.folder), True)


def test_nothing_in_it_can_be_written_and_nothing_is_shared(site: Site, releases: Releases) -> None:
    site.deploy("model@v1.1.0")
    site.deploy("model@v1.1.0")
    for place, _, names in os.walk(site.folder / "versions"):
        for name in names:
            info = os.lstat(os.path.join(place, name))
            assert info.st_nlink == 1
            assert stat.S_IMODE(info.st_mode) & 0o222 == 0
        if place != str(site.folder / "versions"):
            assert stat.S_IMODE(os.lstat(place).st_mode) & 0o222 == 0
    # Who can write all the same harms no other version and not the source.
    first = site.folder / "versions" / "1-model@v1.1.0" / MODEL
    first.chmod(0o600)
    first.write_bytes(b"broken")
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]
    assert (releases.folder / MODEL).read_bytes() == releases.files["model@v1.3.0"][MODEL]


def test_only_what_is_wanted(site: Site) -> None:
    site.deploy("model@v1.1.0", "--include", "*.safetensors", "--include", "config.json")
    assert sorted(os.listdir(site.folder / "current")) == [CONFIG, MODEL]
    site.deploy("model@v1.2.0", "--exclude", MODEL)
    assert sorted(os.listdir(site.folder / "current")) == [CONFIG]
    site.deploy("model@v1.2.0", "--include", "", "--exclude", "")
    assert {".gitattributes", CONFIG, MODEL} <= set(os.listdir(site.folder / "current"))
    refused = site.deploy("model@v1.2.0", "--include", "nothing", check=False)
    assert refused.returncode == 2
    assert site.current == "3-model@v1.2.0"


def test_names_of_all_kinds(site: Site, releases: Releases) -> None:
    commit = releases.person.git("rev-parse", "model@v1.1.0^{commit}", cwd=releases.folder)
    for ref, release in (
        ("#prod", "model@v1.2.0"),
        ("#model#prod", "model@v1.2.0"),
        ("model@latest", "model@v1.3.0"),
        ("main", ""),
        (commit, ""),
        (commit[:9], ""),
        ("HEAD~2", ""),
    ):
        site.deploy(ref, "--include", CONFIG)
        one = site.told["deployments"][-1]
        assert (one["what"]["release"], one["state"]) == (release, "serving"), ref
        assert one["what"]["ref"] == ref.removeprefix("#")
    assert json.loads(site.content(CONFIG)) == {"release": "model@v1.1.0"}
    for ref in ("nothing", "#canary", "model@v9.0.0", "0" * 40):
        assert site.deploy(ref, check=False).returncode in (2, 3)
    assert len(site.told["deployments"]) == 7


def hostile(person: Person, entries: list[tuple[str, str, bytes]]) -> Path:
    """A repository whose only commit has such entries, at whatever paths."""
    folder = person.repository("hostile")
    names: dict[str, str] = {}
    for mode, path, content in entries:
        kind = "commit" if mode == "160000" else "blob"
        (folder / "blob").write_bytes(content)
        blob = "1" * 40 if kind == "commit" else person.git("hash-object", "-w", "blob", cwd=folder)
        names[path] = f"{mode} {kind} {blob}"
    tree = mktree(person, folder, names)
    commit = person.git("commit-tree", "-m", "hostile", tree, cwd=folder)
    person.git("update-ref", "refs/heads/main", commit, cwd=folder)
    return folder


def mktree(person: Person, folder: Path, names: dict[str, str]) -> str:
    own = [f"{facts}\t{path}" for path, facts in names.items() if "/" not in path]
    for head in sorted({path.partition("/")[0] for path in names if "/" in path}):
        below = {path.partition("/")[2]: facts for path, facts in names.items() if path.startswith(f"{head}/")}
        own.append(f"040000 tree {mktree(person, folder, below)}\t{head}")
    done = person.run("git", "mktree", "--missing", cwd=folder, stdin="\n".join(own) + "\n")
    return done.stdout.strip()


@pytest.mark.parametrize(
    "entries",
    [
        [("100644", "../escaped", b"x")],
        [("100644", "a/../../escaped", b"x")],
        [("100644", ".git/config", b"x")],
        [("120000", "link", b"/etc/passwd")],
        [("120000", "link", b"../../escaped")],
        [("120000", "up", b"."), ("120000", "a/b", b"../up/up/../..")],
        [("120000", "link", b"x" * 5000)],
    ],
    ids=["up", "through", "git", "absolute", "link", "links", "long"],
)
def test_nothing_leads_out_of_a_version(entries: list[tuple[str, str, bytes]], tmp_path: Path) -> None:
    person = Person("eve", tmp_path / "eve")
    folder = hostile(person, [("100644", "fine", b"y"), *entries])
    site = Site(person, str(folder))
    refused = site.deploy("main", check=False)
    assert refused.returncode in (3, 4)
    assert site.current == ""
    assert site.leftovers() == []
    assert not list(tmp_path.rglob("escaped"))


def test_links_inside_and_submodules(tmp_path: Path) -> None:
    person = Person("eve", tmp_path / "eve")
    folder = hostile(
        person,
        [
            ("100755", "bin/run", b"#!/bin/sh\n"),
            ("120000", "newest", b"bin/run"),
            ("120000", "deep/link", b"../bin"),
            ("160000", "vendor/lib", b""),
            ("100644", "empty", b""),
        ],
    )
    site = Site(person, str(folder))
    said = site.deploy("main").stderr
    assert "left out the submodule 'vendor/lib'" in said
    assert site.told["deployments"][0]["skipped"] == ["vendor/lib"]
    current = site.folder / "current"
    assert os.readlink(current / "newest") == "bin/run"
    assert (current / "deep" / "link" / "run").read_bytes() == b"#!/bin/sh\n"
    assert os.access(current / "bin" / "run", os.X_OK)
    assert (current / "empty").read_bytes() == b""


@pytest.mark.parametrize("rotten", ["store", "version", "both"])
def test_damage_is_found_and_mended(rotten: str, site: Site, releases: Releases) -> None:
    """The store's copy rots, or that in a kept version, or both: it comes anew."""
    site.deploy("model@v1.1.0")
    data = releases.files["model@v1.1.0"][MODEL]
    oid = hashlib.sha256(data).hexdigest()
    stored = site.folder / "store" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    kept = site.folder / "versions" / "1-model@v1.1.0" / MODEL
    for path in {"store": [stored], "version": [kept], "both": [stored, kept]}[rotten]:
        # It may be linked with the source's; this copy alone is to rot.
        path.parent.chmod(0o755)
        path.unlink()
        path.write_bytes(data[:-1] + b"?")
    if rotten == "store":
        # Else it would be taken from there.
        kept.parent.chmod(0o755)
        kept.unlink()
    site.deploy("model@v1.1.0")
    assert site.current == "2-model@v1.1.0"
    assert site.content(MODEL) == data


def test_a_lost_store_is_made_again(site: Site, releases: Releases) -> None:
    site.deploy("model@v1.1.0")
    for place in ("HEAD", "config"):
        (site.folder / "store" / place).unlink()
    done = site.deploy("model@v1.2.0")
    assert "could not" not in done.stderr
    assert site.content(MODEL) == releases.files["model@v1.2.0"][MODEL]


def test_what_a_kept_version_has_is_not_fetched(site: Site, releases: Releases) -> None:
    """Not even where the store has lost it."""
    site.deploy("model@v1.1.0")
    shutil.rmtree(site.folder / "store" / "lfs")
    site.deploy("model@v1.1.0")
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]
    assert [one["fetched"] for one in site.told["deployments"]] == [len(site.content(MODEL)), 0]
    assert not list((site.folder / "store" / "lfs").glob("objects/*"))


def test_older_versions_go_but_never_those_that_are_needed(site: Site) -> None:
    for number in (1, 2, 3):
        site.deploy(f"model@v1.{number}.0", "--keep", "1")
    assert sorted(os.listdir(site.folder / "versions")) == ["2-model@v1.2.0", "3-model@v1.3.0"]
    assert sorted(site.person.git("for-each-ref", "--format=%(refname)", cwd=site.folder / "store").splitlines()) == [
        "refs/versions/2-model@v1.2.0",
        "refs/versions/3-model@v1.3.0",
    ]
    stored = [path for path in (site.folder / "store" / "lfs" / "objects").rglob("*") if path.is_file()]
    assert len(stored) == 2
    assert site.events.count("removed") == 1
    assert [one["kept"] for one in site.told["deployments"]] == [False, True, True]
    site.deploy("model@v1.1.0", "--keep", "0")
    assert len(os.listdir(site.folder / "versions")) == 3


def test_what_is_deployed_again_counts_once(site: Site) -> None:
    for number in (1, 2, 1, 2):
        site.deploy(f"model@v1.{number}.0", "--keep", "2")
    kept = {name.partition("-")[2] for name in os.listdir(site.folder / "versions")}
    assert kept == {"model@v1.1.0", "model@v1.2.0"}
    site.deploy("model@v1.2.0", "--keep", "2")
    assert {name.partition("-")[2] for name in os.listdir(site.folder / "versions")} == kept


def test_a_folder_with_other_things_is_left_alone(site: Site) -> None:
    site.folder.mkdir()
    (site.folder / "thesis.tex").write_text("x")
    refused = site.deploy("main", check=False)
    assert refused.returncode == 2
    assert "thesis.tex" in refused.stderr
    assert os.listdir(site.folder) == ["thesis.tex"]


def test_a_lost_journal(site: Site) -> None:
    """The versions stay, and no number is given twice."""
    for number in (1, 2):
        site.deploy(f"model@v1.{number}.0")
    (site.folder / "journal.jsonl").unlink()
    assert site.rollback(check=False).returncode == 2
    site.deploy("model@v1.3.0")
    assert (site.current, site.states) == ("3-model@v1.3.0", [("model@v1.3.0", "serving")])


def test_where_git_distrusts_bare_repositories(site: Site) -> None:
    site.person.git("config", "--global", "safe.bareRepository", "explicit")
    site.deploy("#prod")
    site.rollback("1")
    assert site.current == "1-model@v1.2.0"


@pytest.fixture
def own(tmp_path: Path) -> Releases:
    """Releases that a test may change."""
    person = Person("ada", tmp_path / "ada")
    person.run("git", "lfs", "install", "--skip-repo")
    made = Releases(person)
    for _ in range(2):
        made.add()
    return made


def test_a_moved_tag_is_noticed(own: Releases, tmp_path: Path) -> None:
    site = Site(Person("eve", tmp_path / "eve"), str(own.folder))
    site.deploy("model@v1.1.0")
    own.person.git("tag", "-f", "-a", "-m", "moved", "model@v1.1.0", "model@v1.2.0^{}", cwd=own.folder)
    assert "'model@v1.1.0' was moved: it was " in site.deploy("model@v1.1.0").stderr
    assert site.content(MODEL) == own.files["model@v1.2.0"][MODEL]


def test_a_release_that_tells_of_other_weights_is_refused(own: Releases, tmp_path: Path) -> None:
    site = Site(Person("eve", tmp_path / "eve"), str(own.folder))
    own.person.git("tag", "-d", "model@v1.2.0", cwd=own.folder)
    own.person.run(
        "cwt", "release", "create", "model@v2.0.0", "--model", "model", "--weights", MODEL, "--no-card", cwd=own.folder
    )
    text = own.person.git("tag", "-l", "--format=%(contents)", "model@v2.0.0", cwd=own.folder)
    oid = hashlib.sha256(own.files["model@v1.2.0"][MODEL]).hexdigest()
    assert oid in text
    site.deploy("model@v2.0.0")
    forged = own.person.home / "forged"
    forged.write_text(text.replace(oid, "0" * 64))
    own.person.git("tag", "-a", "-F", str(forged), "model@v2.1.0", "model@v2.0.0^{}", cwd=own.folder)
    refused = site.deploy("model@v2.1.0", check=False)
    assert refused.returncode == 4
    assert f"'{MODEL}' is 000000000000" in refused.stderr
    assert site.current == "1-model@v2.0.0"
