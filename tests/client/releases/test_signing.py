"""Signatures in the form of OpenSSF Model Signing, ours and those of the model-signing package."""

from __future__ import annotations

import builtins
import json
import subprocess
from pathlib import Path

import pytest

from hundredweight.client.releases.assign import find_release
from hundredweight.client.releases.signing import (
    BadKey,
    CannotSign,
    NotSigned,
    NotVerified,
    SigningUnavailable,
    sign,
    verify,
)  # fmt: skip
from hundredweight.lineage import releases
from hundredweight.lineage.releases import Release
from hundredweight.lineage.signature import BadSignature, Manifest, decode
from tests.client.releases.models import Repository
from tests.peers import lifecycle


def make_key(folder: Path, name: str = "key", curve: str = "prime256v1") -> tuple[str, str]:
    """A private and a public key."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private], check=True)
    subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return str(private), str(public)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.cwt("release", "create")
    return made


@pytest.fixture
def keys(tmp_path: Path) -> tuple[str, str]:
    return make_key(tmp_path)


def release_of(repo: Repository, name: str = "latest") -> Release:
    return find_release(releases.read(repo.git), name)


def checkout(repo: Repository, folder: Path) -> Path:
    """The release's folder as somebody would have it."""
    repo.person.git("worktree", "add", "-q", str(folder), "digits@v1.0.0", cwd=repo.folder)
    return folder


def test_a_release_is_signed_without_its_weights(repo: Repository, keys: tuple[str, str]) -> None:
    for path in (repo.folder / ".git" / "lfs" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    made = sign(repo.git, release_of(repo), keys[0])
    found = verify(repo.git, release_of(repo), keys[1])
    assert (found.where, found.hint, found.files) == (made.ref, made.hint, made.files)
    manifest = decode(made.data).manifest()
    oid = repo.person.git("lfs", "ls-files", "--long", cwd=repo.folder).split()[0]
    assert manifest.files["model.safetensors"] == oid
    assert ".gitattributes" not in manifest.files
    assert manifest.name == "digits@v1.0.0"
    assert verify(repo.git, release_of(repo), keys[0]).files == made.files


@pytest.mark.peer
@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1"])
def test_model_signing_verifies_ours(repo: Repository, tmp_path: Path, curve: str) -> None:
    private, public = make_key(tmp_path, "k", curve)
    folder = checkout(repo, tmp_path / "out")
    repo.cwt("release", "sign", "digits@v1.0.0", "--key", private, "--output", str(folder / "model.sig"))
    command = (
        lifecycle("model_signing"),
        "verify",
        "key",
        str(folder),
        "--signature",
        str(folder / "model.sig"),
        "--public_key",
        public,
    )
    assert "Verification succeeded" in repo.person.run(*command).stdout
    (folder / "model.safetensors").write_bytes(b"other")
    assert repo.person.run(*command, check=False).returncode != 0


@pytest.mark.peer
def test_we_verify_those_of_model_signing(repo: Repository, tmp_path: Path, keys: tuple[str, str]) -> None:
    folder = checkout(repo, tmp_path / "out")
    made = tmp_path / "theirs.sig"
    repo.person.run(
        lifecycle("model_signing"), "sign", "key", str(folder), "--signature", str(made), "--private_key", keys[0]
    )
    told = json.loads(repo.cwt("release", "verify", "v1.0.0", "--key", keys[1], "--signature", str(made), "--json"))
    assert (told["verified"], told["files"]) == (True, 8)
    repo.train(0.97)
    repo.cwt("release", "create")
    with pytest.raises(NotVerified, match=r"'model\.safetensors' is another file"):
        verify(repo.git, release_of(repo), keys[1], made.read_bytes())


def test_a_folder_is_checked_byte_by_byte(repo: Repository, tmp_path: Path, keys: tuple[str, str]) -> None:
    folder = checkout(repo, tmp_path / "out")
    release = release_of(repo)
    sign(repo.git, release, keys[0])
    assert verify(repo.git, release, keys[1], folder=str(folder)).files == 8
    (folder / "more.txt").write_text("x")
    (folder / "metrics.json").write_text("{}")
    (folder / "data" / "train.csv").unlink()
    with pytest.raises(NotVerified) as caught:
        verify(repo.git, release, keys[1], folder=str(folder))
    assert set(caught.value.reasons) == {
        "'more.txt' was not signed", "'metrics.json' is another file", "'data/train.csv' is missing"
    }  # fmt: skip


def test_other_keys_and_changed_signatures_do_not_verify(
    repo: Repository, tmp_path: Path, keys: tuple[str, str]
) -> None:
    release = release_of(repo)
    with pytest.raises(NotSigned, match="no signature") as unsigned:
        verify(repo.git, release, keys[1])
    assert "git fetch" in unsigned.value.hint
    data = sign(repo.git, release, keys[0]).data
    _, other = make_key(tmp_path, "other")
    with pytest.raises(NotSigned) as foreign:
        verify(repo.git, release, other)
    assert "another key" in foreign.value.hint
    with pytest.raises(NotVerified, match="not by this key"):
        verify(repo.git, release, other, data)
    document = json.loads(data)
    document["verificationMaterial"]["publicKey"] = {}
    with pytest.raises(NotVerified, match="not by this key"):
        verify(repo.git, release, other, json.dumps(document).encode())
    document["dsseEnvelope"]["payload"] = document["dsseEnvelope"]["payload"][:-8] + "AAAAAAA="
    with pytest.raises(NotVerified, match="not by this key"):
        verify(repo.git, release, keys[1], json.dumps(document).encode())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dsseEnvelope": {"payloadType": "x"}}', '{"dsseEnvelope": 3}'])
def test_what_is_no_signature_is_told(repo: Repository, keys: tuple[str, str], text: str) -> None:
    with pytest.raises(BadSignature):
        verify(repo.git, release_of(repo), keys[1], text.encode())


def test_a_statement_that_contradicts_itself_is_told(repo: Repository, keys: tuple[str, str]) -> None:
    bundle = decode(sign(repo.git, release_of(repo), keys[0]).data)
    statement = json.loads(bundle.payload)
    statement["predicate"]["resources"].pop()
    with pytest.raises(BadSignature, match="do not make up its digest"):
        type(bundle)(json.dumps(statement).encode(), b"").manifest()
    assert Manifest("x", bundle.manifest().files).encode() == Manifest("x", bundle.manifest().files).encode()


def test_keys_that_cannot_be_used(repo: Repository, tmp_path: Path, keys: tuple[str, str]) -> None:
    release = release_of(repo)
    edwards = tmp_path / "ed.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", edwards], check=True)
    odd = make_key(tmp_path, "odd", "secp256k1")[0]
    cases = [(str(tmp_path / "gone"), "no such file"), (keys[1], "no private key"), (odd, "secp256k1")]
    for path, reason in (*cases, (str(edwards), "no elliptic-curve key")):
        with pytest.raises(BadKey, match=reason) as caught:
            sign(repo.git, release, path)
        assert caught.value.hint


def test_an_encrypted_key_needs_its_password(repo: Repository, tmp_path: Path, keys: tuple[str, str]) -> None:
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "ec", "-in", keys[0], "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    assert "--password-file" in repo.cwt("release", "sign", "latest", "--key", str(locked), check=False)
    (tmp_path / "password").write_text("secret\n")
    repo.cwt("release", "sign", "latest", "--key", str(locked), "--password-file", str(tmp_path / "password"))
    assert "8 files as signed" in repo.cwt("release", "verify", "latest", "--key", keys[1])


def test_links_are_left_out_by_name_alone(repo: Repository, keys: tuple[str, str]) -> None:
    (repo.folder / "link").symlink_to("README.md")
    repo.person.commit(repo.folder)
    repo.train(0.99)
    repo.cwt("release", "create")
    with pytest.raises(CannotSign, match="symbolic link"):
        sign(repo.git, release_of(repo), keys[0])
    sign(repo.git, release_of(repo), keys[0], ignore=("link", "data/"))
    manifest = decode(sign(repo.git, release_of(repo), keys[0], ignore=("link", "data/")).data).manifest()
    assert not any(path.startswith("data/") for path in manifest.files)
    assert verify(repo.git, release_of(repo), keys[1]).files == len(manifest.files)


def test_without_the_package_the_error_says_how_to_get_it(
    repo: Repository, keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **rest: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SigningUnavailable) as caught:
        sign(repo.git, release_of(repo), keys[0])
    assert "hundredweight[sign]" in caught.value.hint
