"""The report of what is in force, where and why."""

from __future__ import annotations

import os
from pathlib import Path

from hundredweight.client.env import Surroundings
from hundredweight.git.config import Config
from hundredweight.git.run import Git
from tests.clones import Clone


def report(clone: Clone, **variables: str) -> dict[str, str]:
    space = clone.workspace()
    lines = Surroundings(clone.git, space.config, variables, space).lines()
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_places_and_defaults(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    said = report(clone, GIT_EXAMPLE="1", OTHER="2")
    assert said["LocalWorkingDir"] == str(clone.folder)
    assert said["LocalMediaDir"] == str(clone.folder / ".git" / "lfs" / "objects")
    assert said["ConcurrentTransfers"] == "8"
    assert said["FetchRecentRefsIncludeRemotes"] == "true"
    assert said["DownloadTransfers"] == "basic,lfs-standalone-file,ssh"
    assert said["GIT_EXAMPLE"] == "1"
    assert "OTHER" not in said
    assert "Endpoint" not in said


def test_endpoints_of_all_remotes(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    clone.git.output("remote", "add", "origin", "https://host/a")
    clone.git.output("remote", "add", "other", "git@ssh.host:b/c.git")
    clone.git.output("config", "lfs.https://host/a.git/info/lfs.access", "basic")
    said = report(clone)
    assert said["Endpoint"] == "https://host/a.git/info/lfs (auth=basic)"
    assert said["Endpoint (other)"] == "https://ssh.host/b/c.git/info/lfs (auth=none)"
    assert said["  SSH"] == "git@ssh.host:b/c.git"
    assert said["AccessDownload"] == "basic"


def test_choices_are_shown(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    for key, value in {
        "lfs.fetchinclude": "a,b",
        "lfs.fetchexclude": "c",
        "lfs.extension.pack.priority": "2",
        "lfs.customtransfer.both.path": "x",
        "lfs.customtransfer.up.path": "x",
        "lfs.customtransfer.up.direction": "upload",
        "lfs.tustransfers": "true",
    }.items():
        clone.git.output("config", key, value)
    said = report(clone)
    assert (said["FetchInclude"], said["FetchExclude"], said["Extension[2]"]) == ("a, b", "c", "pack")
    assert said["DownloadTransfers"] == "basic,both,lfs-standalone-file,ssh"
    assert said["UploadTransfers"] == "basic,both,lfs-standalone-file,ssh,tus,up"
    clone.git.output("config", "lfs.basictransfersonly", "true")
    assert report(clone)["UploadTransfers"] == "basic"


def test_an_alias_of_two_urls_is_ambiguous() -> None:
    entries = [
        ("url.https://a/.insteadof", "one:"),
        ("url.https://a/.insteadof", "one:"),
        ("url.https://a/.insteadof", "two:"),
        ("url.https://b/.insteadof", "two:"),
        ("url.https://c/.pushinsteadof", "two:"),
    ]
    around = Surroundings(Git(), Config(entries), os.environ, None)
    assert around.ambiguous_aliases() == [(".insteadof", "two:")]
    assert "LocalMediaDir=lfs/objects" in list(around.lines())
