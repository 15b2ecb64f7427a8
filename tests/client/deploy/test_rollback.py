"""Going back: to the version before, to a named one, to one that is no longer kept; one command at a time; what was when."""

from __future__ import annotations

import fcntl
import json
import os
import time

from tests.deploying import HEALTH, MODEL, SERVICE, Releases, Site
from tests.e2e.test_kill import start


def test_step_by_step(site: Site, releases: Releases) -> None:
    for number in (1, 2, 3):
        site.deploy(f"model@v1.{number}.0")
    assert site.rollback("--why", "worse").stdout.startswith("model@v1.2.0 ")
    site.rollback()
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]
    refused = site.rollback(check=False)
    assert refused.returncode == 2
    assert "keeps no version before" in refused.stderr
    site.rollback("model@v1.3.0")
    assert site.current == "3-model@v1.3.0"
    assert [one["action"] for one in site.told["deployments"]] == ["deploy"] * 3 + ["rollback"] * 3
    assert site.told["deployments"][3]["why"] == "worse"
    for name in ("1", "2-model@v1.2.0", releases.person.git("rev-parse", "model@v1.1.0^{}", cwd=releases.folder)[:10]):
        site.rollback(name)
    assert site.current == "1-model@v1.1.0"
    assert site.rollback("nothing", check=False).returncode == 2


def test_without_the_source_and_fast(site: Site, releases: Releases) -> None:
    gone = releases.folder.with_name("gone")
    for number in (1, 2):
        site.deploy(f"model@v1.{number}.0", "--run", SERVICE, "--health", HEALTH)
    releases.folder.rename(gone)
    try:
        begin = time.monotonic()
        site.rollback()
        assert time.monotonic() - begin < 2.0
        assert site.current == "1-model@v1.1.0"
        failed = site.deploy("model@v1.3.0", check=False)
        assert failed.returncode in (2, 3)
        assert site.current == "1-model@v1.1.0"
        assert len(site.told["deployments"]) == 3
        (site.folder / "store" / "HEAD").unlink()
        site.rollback("model@v1.2.0")
        assert site.current == "2-model@v1.2.0"
    finally:
        gone.rename(releases.folder)


def test_to_what_is_not_kept(site: Site, releases: Releases) -> None:
    for number in (1, 2, 3):
        site.deploy(f"model@v1.{number}.0", "--keep", "1")
    site.rollback("model@v1.1.0")
    assert site.current == "4-model@v1.1.0"
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]
    assert site.told["deployments"][-1]["action"] == "rollback"
    assert site.told["deployments"][-1]["what"]["release"] == "model@v1.1.0"


def test_an_incomplete_version_is_not_switched_to(site: Site) -> None:
    for number in (1, 2):
        site.deploy(f"model@v1.{number}.0")
    folder = site.folder / "versions" / "1-model@v1.1.0"
    folder.chmod(0o700)
    (folder / MODEL).unlink()
    refused = site.rollback(check=False)
    assert refused.returncode == 4
    assert MODEL in refused.stderr
    assert site.current == "2-model@v1.2.0"


def test_nothing_was_ever_deployed(site: Site) -> None:
    for command in (("rollback", "--to", str(site.folder)), ("deployments", str(site.folder))):
        assert site.run(*command, check=False).returncode == 2
    assert not site.folder.exists()


def test_one_at_a_time(site: Site) -> None:
    site.deploy("model@v1.1.0")
    with open(site.folder / "lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begin = time.monotonic()
        refused = site.deploy("model@v1.2.0", "--wait", "0.3", check=False)
        assert refused.returncode == 1
        assert 0.3 <= time.monotonic() - begin < 5
        assert f"'{site.folder}' is being changed by cwt deploy (process " in refused.stderr
    assert site.states == [("model@v1.1.0", "serving")]
    # Those that wait all come in their turn.
    refs = [f"model@v1.{1 + number % 3}.0" for number in range(4)]
    to = ("--to", str(site.folder), "--wait", "60", "--keep", "0")
    running = [start(site.person, "cwt", "deploy", f"{site.source}@{ref}", *to, cwd=site.person.home) for ref in refs]
    assert [process.wait() for process in running] == [0] * 4
    told = site.told["deployments"]
    assert [one["number"] for one in told] == [1, 2, 3, 4, 5]
    assert sorted(one["what"]["release"] for one in told[1:]) == sorted(refs)
    assert [one["state"] for one in told] == ["served"] * 4 + ["serving"]
    assert site.current == told[-1]["folder"]


def test_which_was_in_production_when(site: Site) -> None:
    site.deploy("model@v1.1.0", "--why", "the first")
    site.deploy("model@v1.2.0")
    first, _ = site.told["deployments"]
    at = site.run("deployments", "--to", str(site.folder), "--at", first["switched"], "--json")
    assert [one["what"]["release"] for one in json.loads(at.stdout)["deployments"]] == ["model@v1.1.0"]
    table = site.run("deployments", str(site.folder)).stdout.splitlines()
    assert table[0].split() == ["N", "WHEN", "(UTC)", "WHAT", "COMMIT", "STATE", "WHO", "WHY"]
    assert "model@v1.1.0*" in table[1]
    assert table[1].endswith("eve <eve@example.com>  the first")
    assert "serving" in table[2]
    assert len(site.run("deployments", str(site.folder), "-n", "1").stdout.splitlines()) == 2
    assert site.run("deployments", str(site.folder), "--at", "2001-01-01", check=False).returncode == 2


def test_a_public_copy(site: Site, releases: Releases) -> None:
    git = releases.person.git
    try:
        told = json.loads(site.deploy("model@v1.1.0", "--tag", "--why", "go", "--json").stdout)
        assert told["tag"] == "deployed/live/1"
        assert site.deploy("model@v1.2.0", "--tag", "eu/shop").stdout.endswith("tagged as deployed/eu/shop/2\n")
        assert site.rollback("--tag", "eu/shop").stdout.endswith("tagged as deployed/eu/shop/3\n")
        names = git("tag", "--list", "deployed/*", cwd=releases.folder).splitlines()
        assert names == ["deployed/eu/shop/2", "deployed/eu/shop/3", "deployed/live/1"]
        message = git("tag", "--list", "--format=%(contents)", "deployed/live/1", cwd=releases.folder)
        assert message.startswith(f"Deploy model@v1.1.0 on {os.uname().nodename}\n\ngo\n\n{{")
        facts = json.loads(message[message.index("{") :])
        assert (facts["release"], facts["why"], facts["where"]) == ("model@v1.1.0", "go", str(site.folder))
        assert git("rev-parse", "deployed/live/1^{}", cwd=releases.folder) == told["what"]["commit"]
        assert site.deploy("model@v1.2.0", "--tag", "no good", check=False).returncode == 2
    finally:
        for name in git("tag", "--list", "deployed/*", cwd=releases.folder).splitlines():
            git("tag", "-d", name, cwd=releases.folder)


def test_the_tag_is_a_courtesy(site: Site, releases: Releases) -> None:
    """A source that refuses it does not undo the deployment."""
    hook = releases.folder / ".git" / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho no tags here >&2\nexit 1\n")
    hook.chmod(0o755)
    try:
        done = site.deploy("model@v1.1.0", "--tag")
        assert "the tag 'deployed/live/1' could not be made" in done.stderr
        assert site.current == "1-model@v1.1.0"
    finally:
        hook.unlink()
