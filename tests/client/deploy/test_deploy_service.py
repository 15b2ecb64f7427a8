"""The service of a target: started with the version, ended with it, awaited, and the one before it when it is not well."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from hundredweight.client.deploy.processes import ProcessId
from tests.deploying import HEALTH, SERVICE, Releases, Site, eventually
from tests.e2e.test_kill import start

SERVED = ("--run", SERVICE, "--health", HEALTH, "--health-timeout", "10")


def alive(site: Site) -> str:
    return site.folder.with_name(f"{site.folder.name}.alive").read_text()


def test_the_service_is_that_of_the_version(site: Site) -> None:
    site.deploy("model@v1.1.0", *SERVED)
    first = site.told["service"]
    assert site.services() == [first["pid"]]
    assert (alive(site), first["folder"]) == ("model@v1.1.0", "1-model@v1.1.0")
    # What is not said is as before.
    site.deploy("model@v1.2.0")
    second = site.told["service"]
    assert site.services() == [second["pid"]] != [first["pid"]]
    assert alive(site) == "model@v1.2.0"
    assert os.path.samefile(f"/proc/{second['pid']}/cwd", site.folder / "versions" / "2-model@v1.2.0")
    site.rollback()
    assert alive(site) == "model@v1.1.0"
    assert len(site.services()) == 1
    site.deploy("model@v1.2.0", "--run", "", "--health", "")
    assert site.services() == []
    assert site.told["service"] is None


def test_what_a_service_is_told_and_what_it_says(site: Site, releases: Releases) -> None:
    site.deploy("model@v1.1.0", "--run", "env | grep ^CWT_ | sort; pwd; exec sleep 600")
    log = site.folder / "logs" / "1-model@v1.1.0.log"
    folder = f"{site.folder}/versions/1-model@v1.1.0"
    assert eventually(lambda: folder in log.read_text().splitlines())
    told = dict(line.split("=", 1) for line in log.read_text().splitlines() if "=" in line)
    assert told == {
        "CWT_TARGET": str(site.folder),
        "CWT_FOLDER": folder,
        "CWT_VERSION": "model@v1.1.0",
        "CWT_RELEASE": "model@v1.1.0",
        "CWT_COMMIT": releases.person.git("rev-parse", "model@v1.1.0^{}", cwd=releases.folder),
        "CWT_DEPLOYMENT": "1",
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--health", "exit 3", "--health-timeout", "0.3"), "ended with exit code 3"),
        (("--run", "exit 7"), "the service ended with exit code 7"),
        (
            ("--run", "sleep 0.1; exit 7", "--health", "false", "--health-timeout", "30"),
            "the service ended with exit code 7",
        ),
        (("--health", "http://127.0.0.1:1/", "--health-timeout", "0.3"), "did not succeed within 0.3 seconds"),
        (("--health", "sleep 60", "--health-timeout", "0.3"), "it did not end"),
        (("--reload", "echo no such unit; exit 5"), "ended with exit code 5: no such unit"),
    ],
)
def test_an_unhealthy_version_gives_way(options: tuple[str, ...], said: str, site: Site) -> None:
    site.deploy("model@v1.1.0", *SERVED)
    failed = site.deploy("model@v1.2.0", *options, check=False)
    assert failed.returncode == 5
    assert said in failed.stderr
    assert "went back to '1-model@v1.1.0'" in failed.stderr
    assert site.current == "1-model@v1.1.0"
    assert eventually(lambda: alive(site) == "model@v1.1.0")
    assert site.told["service"]["folder"] == "1-model@v1.1.0"
    assert len(site.services()) == 1
    assert site.states == [("model@v1.1.0", "serving"), ("model@v1.2.0", "failed")]
    assert site.events[-2:] == ["failed", "rolled-back"]
    # The settings of what failed are not those of the next.
    site.deploy("model@v1.2.0")
    assert alive(site) == "model@v1.2.0"


def test_the_first_may_fail_too(site: Site) -> None:
    failed = site.deploy("model@v1.1.0", "--run", SERVICE, "--health", "false", "--health-timeout", "0.3", check=False)
    assert failed.returncode == 5
    assert "nothing was deployed before" in failed.stderr
    assert (site.current, site.services(), site.told["serving"]) == ("", [], None)
    assert site.rollback(check=False).returncode == 2
    site.deploy("model@v1.1.0")
    assert site.current == "2-model@v1.1.0"
    assert os.listdir(site.folder / "versions") == ["2-model@v1.1.0"]


def test_when_the_one_before_is_ill_too(site: Site) -> None:
    flag = site.person.home / "well"
    flag.write_text("")
    site.deploy("model@v1.1.0", "--health", f"test -e {flag}", "--health-timeout", "0.5")
    flag.unlink()
    failed = site.deploy("model@v1.2.0", check=False)
    assert failed.returncode == 6
    assert "which is not healthy either" in failed.stderr
    assert site.current == "1-model@v1.1.0"


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_an_answer_of_a_stranger_is_no_health(site: Site) -> None:
    """Another process listens on the port: the new service dies of that, though the URL answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nothing, stderr=nothing) as stranger:
        try:
            assert eventually(lambda: listens(port))
            run, url = f"exec {' '.join(command)}", f"http://127.0.0.1:{port}/"
            failed = site.deploy("model@v1.1.0", "--run", run, "--health", url, "--health-timeout", "5", check=False)
            assert failed.returncode == 5
            assert "the service ended with exit code 1, though" in failed.stderr
        finally:
            stranger.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_is_told_to_end_goes_back_first(number: signal.Signals, site: Site) -> None:
    site.deploy("model@v1.1.0", *SERVED)
    options = ("--to", str(site.folder), "--health", "sleep 60", "--health-timeout", "60")
    process = start(site.person, "cwt", "deploy", f"{site.source}@model@v1.2.0", *options, cwd=site.person.home)
    assert eventually(lambda: site.current.startswith("2-") and alive(site) == "model@v1.2.0")
    process.send_signal(number)
    assert process.wait() == 130
    assert site.current == "1-model@v1.1.0"
    assert alive(site) == "model@v1.1.0"
    assert site.told["deployments"][-1]["reason"] == "it was interrupted"


def test_reload_is_run_at_each_switch(site: Site) -> None:
    log = site.person.home / "reloads"
    site.deploy("model@v1.1.0", "--reload", f'echo "$CWT_VERSION" >>{log}')
    site.deploy("model@v1.2.0")
    site.rollback()
    assert log.read_text().split() == ["model@v1.1.0", "model@v1.2.0", "model@v1.1.0"]
    assert site.services() == []


def test_a_service_that_will_not_end_is_killed(site: Site) -> None:
    """And all of its session with it."""
    stubborn = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & while :; do sleep 0.1; done"
    site.deploy("model@v1.1.0", "--run", stubborn, "--stop-timeout", "1")
    assert len(site.services()) >= 2
    begin = time.monotonic()
    site.deploy("model@v1.2.0", *SERVED)
    assert time.monotonic() - begin > 1
    assert site.services() == [site.told["service"]["pid"]]


def test_a_process_that_got_the_number_is_spared(site: Site) -> None:
    site.deploy("model@v1.1.0", *SERVED)
    other = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        path = site.folder / "service.json"
        told = json.loads(path.read_text())
        os.kill(told["pid"], signal.SIGKILL)
        path.write_text(json.dumps(told | {"pid": other.pid}))
        site.deploy("model@v1.2.0")
        assert other.poll() is None
        assert alive(site) == "model@v1.2.0"
    finally:
        other.kill()
        other.wait()


def test_process_ids() -> None:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    known = ProcessId.of(process.pid)
    try:
        assert known.alive
        assert ProcessId.parse(known.as_fields()) == known
        assert not ProcessId(process.pid, "1", known.boot).alive
        assert not ProcessId(process.pid, known.start, "another boot").alive
        known.stop(5)
        # It has ended, and waits to be asked how.
        assert not ProcessId.of(process.pid).alive
        assert process.wait() == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert not ProcessId.of(process.pid).alive
    for nonsense in (None, {}, {"pid": 1, "start": "1", "boot": ""}, {"pid": "7", "start": "1", "boot": ""}):
        assert ProcessId.parse(nonsense) is None
