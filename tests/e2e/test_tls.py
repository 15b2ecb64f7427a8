"""A hub behind TLS with a private authority that lets in only who shows a certificate of it: every way to configure that, with
ours and with stock git-lfs; and what is said where it is configured wrongly."""

from __future__ import annotations

import random
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub
from tests.tls_front import TlsFront

WEIGHTS = random.Random(3).randbytes(2_000_000)
PHRASE = "open sesame"


@dataclass
class Site:
    """`folder` has the authority (`ca.pem`), a client's certificate with its key, plain and encrypted in both forms, and the
    same of an authority that nobody knows (`other-`)."""

    folder: Path
    hub: RunningHub
    front: TlsFront

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def person(self, home: Path, settings: dict[str, str], programs: Path = PROGRAMS) -> Person:
        """`settings` are keys of git's `http`, or with a dot in them whole keys."""
        person = Person("ada", home, programs)
        for url in (self.front.url, self.front.url.replace("127.0.0.1", "localhost")):
            person.login(url, self.hub.token)
        for key, value in settings.items():
            person.git("config", "--global", "--add", key if "." in key else f"http.{key}", value)
        person.git("lfs", "install", "--skip-repo")
        return person

    def helper(self, phrase: str) -> dict[str, str]:
        """What lets git and git-lfs ask for the key's pass phrase; who is asked keeps `asked`."""
        program = self.folder / f"helper-{phrase.replace(' ', '-')}"
        program.write_text(
            f"#!/bin/sh\nasked=$(cat)\necho $1 $asked >>{self.folder}/asked\n"
            f'case "$1 $asked" in get*protocol=cert*) echo username=x; echo "password={phrase}";; esac\n'
        )
        program.chmod(0o755)
        return {"credential.helper": str(program)}


def write_identity(folder: Path, authority: trustme.CA, prefix: str) -> None:
    authority.cert_pem.write_to_path(str(folder / f"{prefix}ca.pem"))
    mine = authority.issue_cert("ada@example.com")
    mine.private_key_pem.write_to_path(str(folder / f"{prefix}key.pem"))
    mine.cert_chain_pems[0].write_to_path(str(folder / f"{prefix}cert.pem"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    write_identity(folder, authority, "")
    write_identity(folder, trustme.CA(), "other-")
    for form, name in (("ec", "locked-old.pem"), ("pkey", "locked-new.pem")):
        key = ["-in", str(folder / "key.pem"), "-out", str(folder / name)]
        subprocess.run(
            ["openssl", form, "-aes256", "-passout", f"pass:{PHRASE}", *key], check=True, capture_output=True
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with TlsFront(context) as front:
        hub = RunningHub(folder, "--public-url", front.url).start()
        front.target = hub.url
        yield Site(folder, hub, front)
        assert hub.stop() == 0


def use(site: Site, person: Person) -> tuple[Path, Path]:
    """Push and clone, both through TLS; the two clones."""
    work = person.repository("work")
    url = f"{site.front.url}/{site.hub.new_name()}.git"
    person.git("remote", "add", "origin", url, cwd=work)
    person.git("lfs", "track", "*.bin", cwd=work)
    person.commit(work, {"model.bin": WEIGHTS, "small.bin": b"small"})
    person.git("push", "-q", "-u", "origin", "main", cwd=work)
    person.git("clone", "-q", url, "copy")
    copy = person.home / "copy"
    assert (copy / "model.bin").read_bytes() == WEIGHTS
    return work, copy


def use_everything(site: Site, person: Person) -> None:
    """Also lock, list, unlock, and pull a second version."""
    work, copy = use(site, person)
    person.git("lfs", "lock", "model.bin", cwd=work)
    assert "model.bin" in person.git("lfs", "locks", cwd=copy)
    person.git("lfs", "unlock", "model.bin", cwd=work)
    person.commit(work, {"model.bin": WEIGHTS[::-1]})
    person.git("push", "-q", cwd=work)
    person.git("pull", "-q", cwd=copy, GIT_LFS_SKIP_SMUDGE="1")
    person.git("lfs", "pull", cwd=copy)
    assert (copy / "model.bin").read_bytes() == WEIGHTS[::-1]


def test_settings_for_all_urls(site: Site, tmp_path: Path) -> None:
    settings = {"sslCAInfo": site.file("ca.pem"), "sslCert": site.file("cert.pem"), "sslKey": site.file("key.pem")}
    use_everything(site, site.person(tmp_path / "ada", settings))


@pytest.mark.parametrize("below", ["", "/team/"])
def test_settings_for_one_url(site: Site, tmp_path: Path, below: str) -> None:
    names = {"sslCAInfo": "ca.pem", "sslCert": "cert.pem", "sslKey": "key.pem"}
    settings = {f"http.{site.front.url}{below}.{key}": site.file(name) for key, name in names.items()}
    use(site, site.person(tmp_path / "ada", settings | {"sslCAInfo": site.file("other-ca.pem")}))


def test_settings_by_variables(site: Site, tmp_path: Path) -> None:
    names = {"GIT_SSL_CAINFO": "ca.pem", "GIT_SSL_CERT": "cert.pem", "GIT_SSL_KEY": "key.pem"}
    person = site.person(tmp_path / "ada", {})
    person.env |= {variable: site.file(name) for variable, name in names.items()}
    use(site, person)


@pytest.mark.parametrize("how", ["sslVerify", "GIT_SSL_NO_VERIFY"])
def test_trusting_anybody(site: Site, tmp_path: Path, how: str) -> None:
    settings = {"sslCert": site.file("cert.pem"), "sslKey": site.file("key.pem")}
    variables = {how: "1"} if how.isupper() else {}
    person = site.person(tmp_path / "ada", settings if variables else settings | {how: "false"})
    person.env |= variables
    use(site, person)


def locked(site: Site, form: str, phrase: str = PHRASE) -> dict[str, str]:
    (site.folder / "asked").unlink(missing_ok=True)
    return {
        "sslCAInfo": site.file("ca.pem"),
        "sslCert": site.file("cert.pem"),
        "sslKey": site.file(f"locked-{form}.pem"),
        "sslCertPasswordProtected": "true",
        **site.helper(phrase),
    }


@pytest.mark.parametrize("form", ["old", "new"])
def test_an_encrypted_key(site: Site, tmp_path: Path, form: str) -> None:
    """Its pass phrase comes from git credential, which is told that it was right."""
    use(site, site.person(tmp_path / "ada", locked(site, form)))
    key = f"path={site.file(f'locked-{form}.pem')}"
    asked = [line.partition(" ")[0] for line in (site.folder / "asked").read_text().splitlines() if key in line]
    assert asked[:2] == ["get", "store"]
    assert "erase" not in asked


@pytest.mark.peer
@pytest.mark.parametrize("key", ["key", "locked-old"])
def test_stock_git_lfs_with_the_same_settings(site: Site, tmp_path: Path, stock_git_lfs: Path, key: str) -> None:
    settings = locked(site, "old") if key != "key" else locked(site, "old") | {"sslKey": site.file("key.pem")}
    if key == "key":
        del settings["sslCertPasswordProtected"]
    use_everything(site, site.person(tmp_path / "ada", settings, stock_git_lfs))


def refusal(site: Site, home: Path, settings: dict[str, str], host: str = "127.0.0.1") -> tuple[str, str]:
    """What `git lfs locks` says on stderr: the message and the hint."""
    person = site.person(home, settings)
    work = person.repository("work")
    url = f"{site.front.url}/team/any.git".replace("127.0.0.1", host)
    person.git("remote", "add", "origin", url, cwd=work)
    done = person.run("git", "lfs", "locks", cwd=work, check=False)
    assert done.returncode == 2
    message, hint = done.stderr.splitlines()[-2:]
    return message, hint


@pytest.mark.parametrize(
    ("settings", "says", "advice"),
    [
        ({"sslCAInfo": "other-ca.pem"}, "certificate of 127.0.0.1 not trusted: ", "set 'http.sslCAInfo'"),
        ({"sslCAInfo": "nowhere.pem"}, "certificate of 127.0.0.1 not trusted: ", "set 'http.sslCAInfo'"),
        ({"sslCert": ""}, "the server refused the TLS connection: ", "set 'http.sslCert' and 'http.sslKey'"),
        (
            {"sslCert": "other-cert.pem", "sslKey": "other-key.pem"},
            "the server refused the TLS connection: unknown ca",
            "to one that it knows",
        ),
        ({"sslKey": "nowhere.pem"}, "nowhere.pem': no such file or directory", "to see the files in use"),
        ({"sslKey": "other-key.pem"}, "other-key.pem': key values mismatch", "to see the files in use"),
    ],
)
def test_what_is_configured_wrongly_is_told(
    site: Site, tmp_path: Path, settings: dict[str, str], says: str, advice: str
) -> None:
    names = {"sslCAInfo": "ca.pem", "sslCert": "cert.pem", "sslKey": "key.pem"} | settings
    message, hint = refusal(
        site, tmp_path / "ada", {key: site.file(name) if name else "" for key, name in names.items()}
    )
    assert says in message
    assert advice in hint


def test_a_name_that_the_certificate_is_not_for_is_told(site: Site, tmp_path: Path) -> None:
    message, hint = refusal(site, tmp_path / "ada", {"sslCAInfo": site.file("ca.pem")}, host="localhost")
    assert "certificate of localhost not trusted: " in message
    assert hint == "hint: use the name that the certificate is for in the URL"


def test_a_wrong_pass_phrase_is_told_and_forgotten(site: Site, tmp_path: Path) -> None:
    message, _ = refusal(site, tmp_path / "ada", locked(site, "new", "wrong"))
    assert message.endswith("locked-new.pem': wrong pass phrase")
    asked = [line.partition(" ")[0] for line in (site.folder / "asked").read_text().splitlines()]
    assert asked == ["get", "erase"]
