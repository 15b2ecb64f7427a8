"""Server discovery: which URL, from which setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.git.config import Config, load
from hundredweight.git.run import Git
from hundredweight.transfer.endpoint import Endpoints, without_user
from tests.transfer.rig import Rig


def endpoints(*entries: tuple[str, str], git_dir: str = "") -> Endpoints:
    return Endpoints(Config(entries), Git(), git_dir)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://h/me/repo", "https://h/me/repo.git/info/lfs"),
        ("https://h/me/repo/", "https://h/me/repo.git/info/lfs"),
        ("https://h/me/repo.git", "https://h/me/repo.git/info/lfs"),
        ("https://ann:pw@h:8080/me/repo.git", "https://ann:pw@h:8080/me/repo.git/info/lfs"),
        ("git://h/me/repo", "https://h/me/repo.git/info/lfs"),
        ("ssh://git@h:2222/me/repo.git", "https://h/me/repo.git/info/lfs"),
        ("ssh://h/me/repo", "https://h/me/repo.git/info/lfs"),
        ("git+ssh://git@h/me/repo", "https://h/me/repo.git/info/lfs"),
        ("git@h:me/repo.git", "https://h/me/repo.git/info/lfs"),
        ("[git@h:2222]:me/repo.git", "https://h/me/repo.git/info/lfs"),
        ("host:repo", "https://host/repo.git/info/lfs"),
        ("file:///srv/repo.git", "file:///srv/repo.git"),
        ("helper::anything", "helper::anything.git/info/lfs"),
        ("ssh://git@h:port/x", "<unknown>"),
    ],
)
def test_git_urls(url: str, wanted: str) -> None:
    assert endpoints(("remote.origin.url", url)).endpoint("download").url == wanted


@pytest.mark.parametrize(
    ("url", "user_and_host", "path", "port"),
    [
        ("ssh://git@h:2222/me/repo.git", "git@h", "/me/repo.git", "2222"),
        ("git@h:me/repo.git", "git@h", "me/repo.git", ""),
        ("[git@h:2222]:me/repo.git", "git@h", "me/repo.git", "2222"),
        ("h:me/repo.git", "h", "me/repo.git", ""),
        ("https://h/me/repo.git", "", "", ""),
    ],
)
def test_ssh_places(url: str, user_and_host: str, path: str, port: str) -> None:
    found = endpoints(("remote.origin.url", url)).endpoint("download")
    assert (found.ssh_user_and_host, found.ssh_path, found.ssh_port) == (user_and_host, path, port)


def test_the_order_of_settings() -> None:
    settings = [
        ("remote.origin.url", "https://h/git"),
        ("remote.origin.pushurl", "https://push/git"),
        ("remote.origin.lfsurl", "https://h/lfs"),
        ("remote.origin.lfspushurl", "https://h/lfs-push"),
        ("lfs.url", "https://all/lfs"),
        ("lfs.pushurl", "https://all/lfs-push"),
    ]
    wanted = [
        ("https://h/git.git/info/lfs", "https://h/git.git/info/lfs"),
        ("https://h/git.git/info/lfs", "https://push/git.git/info/lfs"),
        ("https://h/lfs", "https://h/lfs"),
        ("https://h/lfs", "https://h/lfs-push"),
        ("https://all/lfs", "https://all/lfs"),
        ("https://all/lfs", "https://all/lfs-push"),
    ]
    for count, urls in enumerate(wanted, 1):
        known = endpoints(*settings[:count])
        assert (known.endpoint("download").url, known.endpoint("upload").url) == urls


def test_another_remote_and_a_url_as_remote() -> None:
    known = endpoints(("remote.origin.url", "https://o/r"), ("remote.up.url", "https://u/r"))
    assert known.endpoint("download", "up").url == "https://u/r.git/info/lfs"
    assert known.endpoint("download", "https://x/r").url == "https://x/r.git/info/lfs"
    assert known.endpoint("download", "unknown").url == "https://o/r.git/info/lfs"
    assert known.remote_endpoint("download", "unknown").url == ""
    assert endpoints().endpoint("download").url == ""


def test_aliases() -> None:
    known = endpoints(
        ("remote.origin.url", "me:repo"),
        ("url.https://short/.insteadof", "me"),
        ("url.https://long/.insteadof", "me:"),
        ("url.https://push/.pushinsteadof", "me:"),
    )
    assert known.endpoint("download").url == "https://long/repo.git/info/lfs"
    assert known.endpoint("upload").url == "https://push/repo.git/info/lfs"
    assert known.rewrite("download", "other") == "other"


def test_local_repositories(rig: Rig) -> None:
    folder = rig.folder
    for url, wanted in [(str(folder), f"file://{folder}/.git"), (f"{folder}/.git", f"file://{folder}/.git")]:
        found = endpoints(("remote.origin.url", url)).endpoint("download")
        assert found.url == wanted
        assert found.is_local
    (folder / "sub").mkdir()
    relative = Endpoints(Config([("remote.origin.url", "sub")]), rig.git)
    assert relative.endpoint("download").url == f"file://{folder}/sub"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (f"{'a' * 40}\t\tbranch 'main' of https://h/me/repo\n", "https://h/me/repo.git/info/lfs"),
        (f"{'a' * 40}\tnot-for-merge\ttag 'v1' of git@h:me/repo\n", "https://h/me/repo.git/info/lfs"),
        ("", ""),
    ],
)
def test_fetch_head_is_the_last_resort(tmp_path: Path, line: str, wanted: str) -> None:
    (tmp_path / "FETCH_HEAD").write_text(line)
    assert endpoints(git_dir=str(tmp_path)).endpoint("download").url == wanted
    assert endpoints(git_dir=str(tmp_path / "nowhere")).endpoint("download").url == ""


def test_access_modes(rig: Rig) -> None:
    known = Endpoints(Config([("lfs.https://h/a.access", "PRIVATE")]), rig.git)
    assert known.access("https://h/a/b") == "basic"
    assert known.access("https://h/c") == "none"
    known.set_access("https://ann:pw@h/c", "basic")
    assert known.access("https://h/c") == "basic"
    assert load(rig.git).get("lfs.https://h/c.access") == ""
    known.keep_access("https://ann@h/c")
    assert load(rig.git).get("lfs.https://h/c.access") == "basic"
    known.keep_access("https://h/a/b")
    assert load(rig.git).get("lfs.https://h/a/b.access") == ""


def test_an_access_mode_that_cannot_be_kept_is_known_anyway(tmp_path: Path, git_env: dict[str, str]) -> None:
    known = Endpoints(Config(), Git(str(tmp_path), git_env))
    known.set_access("https://h/c", "basic")
    known.keep_access("https://h/c")
    assert known.access("https://h/c") == "basic"


def test_without_user() -> None:
    assert without_user("https://ann:pw@h:1/x?q=@") == "https://h:1/x?q=@"
    assert without_user("https://h/x") == "https://h/x"
