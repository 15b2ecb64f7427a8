"""Settings: git-lfs's defaults, and what changes them."""

from __future__ import annotations

import pytest

from hundredweight.client.settings import Settings
from hundredweight.git.config import BadConfigValue, Config

DEFAULTS = {
    "fetch_include": [],
    "fetch_exclude": [],
    "fetch_recent_always": False,
    "fetch_recent_refs_days": 7,
    "fetch_recent_commits_days": 0,
    "fetch_recent_remote_refs": True,
    "prune_offset_days": 3,
    "prune_verify_remote_always": False,
    "prune_verify_unreachable_always": False,
    "prune_remote": "origin",
    "concurrent_transfers": 8,
    "basic_transfers_only": False,
    "tus_transfers": False,
    "skip_download_errors": False,
    "allow_incomplete_push": False,
    "force_progress": False,
    "track_installs_hooks": True,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(name: str) -> None:
    assert getattr(Settings(Config(), {}), name) == DEFAULTS[name]


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("lfs.fetchInclude", "a*, b/", "fetch_include", ["a*", "b"]),
        ("lfs.fetchexclude", "c", "fetch_exclude", ["c"]),
        ("lfs.fetchrecentalways", "yes", "fetch_recent_always", True),
        ("lfs.fetchrecentrefsdays", "0", "fetch_recent_refs_days", 0),
        ("lfs.fetchrecentcommitsdays", "4", "fetch_recent_commits_days", 4),
        ("lfs.fetchrecentremoterefs", "false", "fetch_recent_remote_refs", False),
        ("lfs.pruneoffsetdays", "9", "prune_offset_days", 9),
        ("lfs.pruneverifyremotealways", "true", "prune_verify_remote_always", True),
        ("lfs.pruneverifyunreachablealways", "true", "prune_verify_unreachable_always", True),
        ("lfs.pruneremotetocheck", "up", "prune_remote", "up"),
        ("lfs.concurrenttransfers", "3", "concurrent_transfers", 3),
        ("lfs.concurrenttransfers", "-1", "concurrent_transfers", 8),
        ("lfs.basictransfersonly", "true", "basic_transfers_only", True),
        ("lfs.tustransfers", "true", "tus_transfers", True),
        ("lfs.skipdownloaderrors", "true", "skip_download_errors", True),
        ("lfs.allowincompletepush", "true", "allow_incomplete_push", True),
        ("lfs.forceprogress", "true", "force_progress", True),
    ],
)
def test_configured(key: str, value: str, name: str, expected: object) -> None:
    assert getattr(Settings(Config([(key, value)]), {}), name) == expected


def test_variables_win() -> None:
    variables = {
        "GIT_LFS_SKIP_DOWNLOAD_ERRORS": "1",
        "GIT_LFS_FORCE_PROGRESS": "true",
        "GIT_LFS_TRACK_NO_INSTALL_HOOKS": "1",
    }
    chosen = Settings(Config(), variables)
    assert (chosen.skip_download_errors, chosen.force_progress, chosen.track_installs_hooks) == (True, True, False)


def test_options_replace_the_configured_paths() -> None:
    chosen = Settings(Config([("lfs.fetchinclude", "a"), ("lfs.fetchexclude", "b")]), {})
    assert chosen.path_filter().allows("a/x")
    assert not chosen.path_filter().allows("b")
    assert chosen.path_filter("", "").allows_everything
    assert chosen.path_filter(include="c").allows("c")


def test_a_number_that_is_none_is_an_error() -> None:
    with pytest.raises(BadConfigValue):
        _ = Settings(Config([("lfs.pruneoffsetdays", "soon")]), {}).prune_offset_days
