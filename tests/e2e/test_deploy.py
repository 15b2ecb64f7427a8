"""Deployments from a hub: what moves, a dead network, a full disk, a real service, somebody else's LFS server."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploying import CONFIG, MODEL, Reader, Releases, Site
from tests.e2e.test_blocks import person, traffic, weights
from tests.people import Person
from tests.running_hub import RunningHub

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture
def ada(own_hub: RunningHub, tmp_path: Path) -> Person:
    return person(own_hub, tmp_path, "ada")


@pytest.fixture
def site(own_hub: RunningHub, tmp_path: Path) -> Iterator[Site]:
    made = Site(person(own_hub, tmp_path, "eve"), own_hub.remote("team/model"))
    yield made
    made.end_services()


def pushed(ada: Person, hub: RunningHub, count: int) -> Releases:
    made = Releases(ada, rows=700)
    ada.git("remote", "add", "origin", hub.remote("team/model"), cwd=made.folder)
    for _ in range(count):
        made.add()
    ada.git("push", "-q", "origin", "main", "--tags", cwd=made.folder)
    return made


def test_a_fine_tune_moves_only_the_delta(own_hub: RunningHub, ada: Person, site: Site) -> None:
    work = ada.repository("work")
    ada.run("cwt", "init", cwd=work)
    ada.git("remote", "add", "origin", own_hub.remote("team/model"), cwd=work)
    sent = []
    for number in (1, 2, 3):
        before = traffic(own_hub, "PUT", "/blocks/")
        # Files that no deployment asks for: they must not move.
        extra = {"notes.bin": os.urandom(300_000), "optimizer.pt": os.urandom(1 << 20)}
        ada.commit(work, {MODEL: weights(number), CONFIG: b'{"number": %d}' % number, **extra})
        ada.git("tag", "-a", "-m", "release", f"v1.{number}.0", cwd=work)
        ada.git("push", "-q", "origin", "main", "--tags", cwd=work)
        sent.append(traffic(own_hub, "PUT", "/blocks/") - before)
    for number in (1, 2, 3):
        blocks, git = traffic(own_hub, "POST", "/blocks/segments"), traffic(own_hub, "POST", "git-upload-pack")
        site.deploy(f"v1.{number}.0", "--include", MODEL, "--include", CONFIG, "--keep", "2")
        moved = traffic(own_hub, "POST", "/blocks/segments") - blocks
        whole = len(weights(number))
        assert site.content(MODEL) == weights(number)
        assert sorted(os.listdir(site.folder / "current")) == [CONFIG, MODEL]
        assert 0 < moved < whole * (1.0 if number == 1 else 0.8)
        if number > 1:
            assert moved < sent[number - 1]
        assert traffic(own_hub, "POST", "git-upload-pack") - git < 50_000
    assert traffic(own_hub, "GET", r"/objects/[0-9a-f]{64} ") == 0
    blocks = traffic(own_hub, "POST", "/blocks/segments")
    site.rollback()
    site.deploy("v1.3.0", "--include", MODEL)
    assert traffic(own_hub, "POST", "/blocks/segments") == blocks
    log = json.loads(site.run("deployments", str(site.folder), "--json").stdout)
    assert [one["fetched"] for one in log["deployments"]] == [len(weights(1))] * 3 + [0, 0]


def test_a_dead_network(own_hub: RunningHub, ada: Person, site: Site) -> None:
    releases = pushed(ada, own_hub, 2)
    site.deploy("model@v1.1.0")
    own_hub.stop()
    with Reader(site, releases.files) as reader:
        failed = site.deploy("model@v1.2.0", check=False)
        assert failed.returncode == 3
        assert "cannot fetch from" in failed.stderr
    assert reader.faults == []
    assert site.states == [("model@v1.1.0", "serving")]
    own_hub.start()
    site.deploy("model@v1.2.0")
    own_hub.stop()
    site.rollback()
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]


def test_weights_that_were_never_pushed(own_hub: RunningHub, ada: Person, site: Site) -> None:
    """git has the release, the LFS server lacks its object."""
    releases = pushed(ada, own_hub, 1)
    site.deploy("model@v1.1.0")
    bare = ada.home / "bare.git"
    ada.git("clone", "-q", "--bare", str(releases.folder), str(bare))
    ada.git("remote", "remove", "origin", cwd=bare)
    elsewhere = Site(ada, str(bare), "elsewhere")
    refused = elsewhere.deploy("model@v1.1.0", check=False)
    assert refused.returncode == 3
    assert f"cannot fetch '{MODEL}'" in refused.stderr
    assert elsewhere.current == ""
    assert [one["state"] for one in elsewhere.told["deployments"]] == ["failed"]
    # With them at the other end the same command goes on.
    shutil.copytree(releases.folder / ".git" / "lfs", bare / "lfs")
    elsewhere.deploy("model@v1.1.0")
    assert elsewhere.content(MODEL) == releases.files["model@v1.1.0"][MODEL]


def test_from_a_clone_without_weights(own_hub: RunningHub, ada: Person, site: Site) -> None:
    """They come from where the clone would have them."""
    releases = pushed(ada, own_hub, 1)
    clone = site.person.home / "clone"
    site.person.git("clone", "-q", site.source, str(clone), GIT_LFS_SKIP_SMUDGE="1")
    site.source = str(clone)
    site.deploy("main")
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]


@pytest.mark.parametrize("size", [100, 3000, 30_000, 300_000])
def test_a_file_that_cannot_be_written(size: int, own_hub: RunningHub, ada: Person, site: Site) -> None:
    """The kernel refuses what is larger, as a full disk does: of the journal, of git's packs, of our packs, of the version."""
    releases = pushed(ada, own_hub, 2)
    site.deploy("model@v1.1.0", "--why", "x" * 200)
    command = ["cwt", "deploy", f"{site.source}@model@v1.2.0", "--to", str(site.folder)]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    failed = subprocess.run(
        command, cwd=site.person.home, env=site.person.env, capture_output=True, preexec_fn=limited, check=False
    )
    assert failed.returncode != 0
    assert b"error: " in failed.stderr
    assert site.current == "1-model@v1.1.0"
    assert site.content(MODEL) == releases.files["model@v1.1.0"][MODEL]
    site.deploy("model@v1.2.0")
    assert site.content(MODEL) == releases.files["model@v1.2.0"][MODEL]
    assert site.leftovers() == []


FULL_DISK = """
set -u
mount -t tmpfs -o size=48m tmpfs "$1"
site="$1/live"
errors="$1.errors"
deploy() { cwt deploy "$2@model@v1.$1.0" --to "$site" --keep 2 --json >/dev/null 2>>"$errors"; }
deploy 1 "$2" && deploy 2 "$2" || exit 9
for round in 1 2 3 4 5 6 7 8; do
    # The disk fills up some time after the beginning, and has room again afterwards.
    (sleep "0.$((round * 9 + 5))"; cat /dev/zero >"$1/fill" 2>/dev/null) &
    filler=$!
    deploy "$((2 - round % 2))" "$2"
    code=$?
    wait "$filler"
    # On a disk without any room going back works all the same.
    cwt rollback --to "$site" "model@v1.$((2 - round % 2)).0" >/dev/null 2>>"$errors"
    echo "$code $? $(cat "$site/current/config.json") $(sha256sum <"$site/current/model.safetensors")"
    rm "$1/fill"
done
deploy 2 "$2" || exit 8
find "$site" "$site/versions" -maxdepth 1 -name '.*' -o -maxdepth 1 -name 'tmp-*' -o -maxdepth 1 -name 'current-*'
echo "0 0 $(cat "$site/current/config.json") $(sha256sum <"$site/current/model.safetensors")"
"""


def test_a_disk_that_fills_up(own_hub: RunningHub, ada: Person, site: Site) -> None:
    """A small disk of its own, full at one moment or another: what serves is whole, and with room again all goes on."""
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets users have no mounts of their own")
    releases = pushed(ada, own_hub, 2)
    disk = site.person.home / "disk"
    disk.mkdir()
    done = site.person.run(
        *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh", str(disk), site.source),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    hashes = {name: hashlib.sha256(files[MODEL]).hexdigest() for name, files in releases.files.items()}
    lines = done.stdout.splitlines()
    assert len(lines) == 9, done.stdout
    for line in lines:
        assert line.split(" ")[1] == "0", done.stdout + disk.with_name("disk.errors").read_text()
        _, _, config, found = line.split(" ", 2)[:2] + line.split(" ", 2)[2].rsplit("}", 1)
        release = json.loads(config + "}")["release"]
        assert found.split()[0] == hashes[release]
    assert lines[-1].startswith('0 0 {"release": "model@v1.2.0"}')
    assert any(not line.startswith("0 ") for line in lines)


FULL_DISK_WITH_A_SERVICE = """
set -u
mount -t tmpfs -o size=48m tmpfs "$1"
site="$1/live"
cwt deploy "$2@model@v1.1.0" --to "$site" --run "exec sleep 100" >/dev/null || exit 9
cwt deploy "$2@model@v1.2.0" --to "$site" >/dev/null || exit 9
before=$(cat "$site/service.json")
cat /dev/zero >"$1/fill" 2>/dev/null
rm "$site/reserve"
cat /dev/zero >>"$1/fill" 2>/dev/null
cwt rollback --to "$site"
code=$?
[ "$before" = "$(cat "$site/service.json")" ] && same=same || same=other
pid=$(sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p' "$site/service.json")
echo "$code $same $(readlink "$site/current") $(readlink "/proc/$pid/cwd")"
kill "$pid"
"""


def test_a_service_goes_on_where_the_disk_has_no_room_for_another(own_hub: RunningHub, ada: Person, site: Site) -> None:
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets users have no mounts of their own")
    pushed(ada, own_hub, 2)
    disk = site.person.home / "disk"
    disk.mkdir()
    command = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK_WITH_A_SERVICE, "sh")
    done = site.person.run(*command, str(disk), site.source, check=False)
    current = "versions/2-model@v1.2.0"
    assert done.stdout == f"5 same {current} {disk}/live/{current}\n", done.stdout + done.stderr


def test_digits_served(own_hub: RunningHub, ada: Person, site: Site) -> None:
    """The example's own service: what it says it serves is what was released; a model that does not load goes back."""
    work = ada.repository("work")
    ada.run("cwt", "init", cwd=work)
    ada.git("remote", "add", "origin", own_hub.remote("team/model"), cwd=work)
    for name in ("app.py", "network.py"):
        shutil.copy(DIGITS / name, work / name)
    versions = {name: digits(seed) for seed, name in enumerate(("digits@v1.0.0", "digits@v1.1.0"))}
    for name, data in (*versions.items(), ("digits@v1.2.0", b"this is no model" * 100)):
        ada.commit(work, {MODEL: data})
        ada.git("tag", "-a", "-m", "release", name, cwd=work)
    ada.git("tag", "-a", "-m", "prod", "digits#prod#1", "digits@v1.1.0^{}", cwd=work)
    ada.git("push", "-q", "origin", "main", "--tags", cwd=work)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    site.deploy("digits@v1.0.0", "--run", f"exec {sys.executable} app.py --port {port}", "--health", f"{url}/healthz")
    assert served(url) == hashlib.sha256(versions["digits@v1.0.0"]).hexdigest()
    site.deploy("#digits#prod")
    assert served(url) == hashlib.sha256(versions["digits@v1.1.0"]).hexdigest()
    failed = site.deploy("digits@v1.2.0", "--health-timeout", "20", check=False)
    assert failed.returncode == 5
    assert "the service ended with exit code 1" in failed.stderr
    assert "is not a complete safetensors file" in (site.folder / "logs" / "3-digits@v1.2.0.log").read_text()
    assert served(url) == hashlib.sha256(versions["digits@v1.1.0"]).hexdigest()
    site.rollback()
    assert served(url) == hashlib.sha256(versions["digits@v1.0.0"]).hexdigest()
    assert site.states == [
        ("digits@v1.0.0", "served"),
        ("digits@v1.1.0", "served"),
        ("digits@v1.2.0", "failed"),
        ("digits@v1.0.0", "serving"),
    ]


def digits(seed: int) -> bytes:
    """Weights of the example's network with random numbers, made by its own code."""
    code = f"""
import sys
import numpy as np
from network import Layer, to_bytes
dice = np.random.default_rng({seed})
shapes = [(8, 64), (10, 8)]
layers = [Layer(dice.standard_normal(shape, dtype=np.float32), np.zeros(shape[0], np.float32)) for shape in shapes]
sys.stdout.buffer.write(to_bytes(tuple(layers), {{}}))
"""
    return subprocess.run([sys.executable, "-c", code], cwd=DIGITS, capture_output=True, check=True).stdout


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def served(url: str) -> str:
    with urllib.request.urlopen(f"{url}/version", timeout=10) as answer:
        found: str = json.loads(answer.read())["sha256"]
        return found
