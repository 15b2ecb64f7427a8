"""Settings per URL, checked against git itself where git has the same rule."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hundredweight.git import urlmatch
from hundredweight.git.config import Config

PATTERNS = [
    "https://example.com",
    "https://example.com/repo",
    "https://example.com/repo/deep",
    "https://ann@example.com",
    "https://*.example.com",
    "https://www.example.com",
    "https://example.com:8443",
    "http://example.com",
    "https://*.*.com",
]
URLS = [
    "https://example.com/",
    "https://example.com/repo",
    "https://example.com/repository",
    "https://example.com/repo/deep/er",
    "https://ann@example.com/other",
    "https://bob@example.com/other",
    "https://www.example.com/x",
    "https://git.example.com/x",
    "https://a.b.example.com/x",
    "https://example.com:443/x",
    "https://example.com:8443/repo",
    "http://example.com/repo",
    "https://other.org/",
]


@pytest.mark.parametrize("url", URLS)
def test_like_git(url: str, tmp_path: Path, git_env: dict[str, str]) -> None:
    entries = [(f"http.{pattern}.useragent", pattern) for pattern in PATTERNS] + [("http.useragent", "plain")]
    file = tmp_path / "config"
    for key, value in entries:
        subprocess.run(["git", "config", "-f", str(file), key, value], check=True, env=git_env)
    command = ["git", "config", "-f", str(file), "--get-urlmatch", "http.useragent", url]
    wanted = subprocess.run(command, check=True, env=git_env, capture_output=True, text=True).stdout.strip()
    assert urlmatch.value(Config(entries), "http", url, "userAgent") == wanted


def test_a_repository_s_setting_serves_its_lfs_url() -> None:
    config = Config([("lfs.https://h/me/repo.access", "basic")])
    assert urlmatch.value(config, "lfs", "https://h/me/repo.git/info/lfs", "access") == "basic"
    assert urlmatch.value(config, "lfs", "https://h/me/repo.git/other", "access") == ""
    assert urlmatch.value(config, "lfs", "https://h/me/repos.git/info/lfs", "access") == ""


def test_several_values_and_the_fallback() -> None:
    config = Config(
        [("http.extraheader", "A: 1"), ("http.https://h.extraheader", "B: 1"), ("http.https://h.extraheader", "B: 2")]
    )
    assert urlmatch.values(config, "http", "https://h/x", "extraheader") == ["B: 1", "B: 2"]
    assert urlmatch.values(config, "http", "https://else/x", "extraheader") == ["A: 1"]


def test_flags() -> None:
    config = Config([("http.https://h.sslverify", "false"), ("http.https://i.sslverify", "nonsense")])
    assert not urlmatch.flag(config, "http", "https://h/", "sslverify", True)
    assert urlmatch.flag(config, "http", "https://i/", "sslverify", True)
    assert urlmatch.flag(config, "http", "https://j/", "sslverify", True)


@pytest.mark.parametrize("url", ["http://[bad/", "http://h:port/", "no url"])
def test_urls_that_are_none_match_nothing(url: str) -> None:
    config = Config([("http.http://[bad/.proxy", "x"), ("http.proxy", "plain")])
    assert urlmatch.value(config, "http", url, "proxy") == "plain"
