"""`cwt release sign` and `verify`: a key's word for every file of a release (OpenSSF Model Signing).

The SHA-256 of weights are their oids, so neither needs any weights at hand. A signature is kept as a blob under
`refs/signatures/RELEASE/KEY`, beside the history that it is about, and goes where it is pushed; `model.sig` in the folder of a
release is the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError, UsageError
from hundredweight.git.objects import ObjectReader
from hundredweight.git.scan import tree_entries
from hundredweight.git.trees import write_object
from hundredweight.lineage import signature
from hundredweight.lineage.signature import FILE, IGNORED, Bundle, Manifest, is_ignored
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey

    from hundredweight.git.run import Git
    from hundredweight.lineage.releases import Release

REFS = "refs/signatures/"
_LINK = "120000"
_CHUNK = 1 << 20
_HINT = 16


class SigningUnavailable(UsageError):
    """The package that knows keys is not installed."""

    hint = "run \"pip install 'hundredweight[sign]'\""

    def __init__(self) -> None:
        super().__init__("signatures need the package 'cryptography', which is not installed")


class BadKey(UsageError):
    """A file is not the key that is needed. `path` is what was named."""

    hint = "make one: 'openssl ecparam -name prime256v1 -genkey -noout -out key.pem'; 'openssl ec -pubout' gives its public half"

    def __init__(self, path: str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"cannot use the key '{path}': {reason}", hint=hint)
        self.path = path


class CannotSign(UsageError):
    """A release holds something that signatures of this form do not cover."""


class NotSigned(UsageError):
    """There is no signature by that key. `name` is the release."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__(f"'{name}' has no signature by this key", hint=hint)
        self.name = name


class NotVerified(DamageError):
    """A signature is not the key's, or the files are not those that were signed. `reasons` has a line each."""

    hint = "do not use these files; ask who signed them, or fetch the release anew"

    def __init__(self, name: str, reasons: tuple[str, ...]) -> None:
        shown = "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")
        super().__init__(f"'{name}' is not what was signed: {shown}")
        self.name = name
        self.reasons = reasons


@dataclass(frozen=True)
class Signed:
    """`ref` keeps the signature, `data` are its bytes, `hint` names the key, `files` how many it covers."""

    ref: str
    data: bytes
    hint: str
    files: int


@dataclass(frozen=True)
class Verified:
    """`where` is where the signature was found, `files` how many it covers."""

    where: str
    hint: str
    files: int


def sign(git: Git, release: Release, key: str, password: bytes | None = None, ignore: tuple[str, ...] = ()) -> Signed:
    """Sign all files of a release, but those at `ignore` and below, and keep the signature under `REFS`. `key` is a file with an
    elliptic-curve private key (PEM). Raises `SigningUnavailable`, `BadKey`, `CannotSign`."""
    private = _private_key(key, password)
    manifest = manifest_of(git, release, ignore)
    payload = manifest.encode()
    made = private.sign(signature.pre_authentication(payload), _algorithm(private.public_key()))
    hint = _hint(private.public_key())
    data = Bundle(payload, made, hint).encode()
    ref = f"{REFS}{release.name}/{hint[:_HINT]}"
    git.output("update-ref", ref, write_object(git, "blob", data))
    return Signed(ref, data, hint, len(manifest.files))


def verify(git: Git, release: Release, key: str, given: bytes | None = None, folder: str = "") -> Verified:
    """Check the signature by a key, and that what it names is what the release has; with a `folder` what that has
    instead, byte by
    byte. `key` is the public key, or the private one (PEM); `given` is a signature instead of the kept one. Raises
    `SigningUnavailable`, `BadKey`, `NotSigned`, `BadSignature`, `NotVerified`."""
    public = _public_key(key)
    hint = _hint(public)
    data, where = (given, "the given file") if given is not None else _kept(git, release, hint)
    bundle = signature.decode(data)
    if (bundle.hint and bundle.hint != hint) or not _is_by(public, bundle):
        raise NotVerified(release.name, ("the signature is not by this key",))
    manifest = bundle.manifest()
    reasons = list(
        _differences(manifest, _hash_folder(folder, manifest) if folder else _hash_tree(git, release, manifest))
    )
    if reasons:
        raise NotVerified(folder or release.name, tuple(reasons))
    return Verified(where, hint, len(manifest.files))


def manifest_of(git: Git, release: Release, ignore: tuple[str, ...] = ()) -> Manifest:
    """The files of a release as a checkout has them. Raises `CannotSign`."""
    empty = Manifest(release.name, {}, (*IGNORED, *(path.strip("/") for path in ignore)))
    return Manifest(release.name, _hash_tree(git, release, empty), empty.ignored)


def _hash_tree(git: Git, release: Release, manifest: Manifest) -> dict[str, str]:
    """Objects by their ids, the rest by its bytes."""
    found = {}
    with ObjectReader(git) as reader:
        for entry in tree_entries(git, release.commit):
            if not manifest.covers(entry.path):
                continue
            if entry.mode == _LINK:
                raise CannotSign(
                    f"'{entry.path}' is a symbolic link, which such signatures do not cover",
                    hint=f"leave it out with --ignore '{entry.path}'",
                )
            pointer = try_parse(reader.read(entry.blob)) if 0 < entry.size < CUTOFF else None
            if pointer is not None:
                # What went through extensions is in the work tree as it was before the first of them.
                found[entry.path] = str(pointer.extensions[0].oid if pointer.extensions else pointer.oid)
                continue
            machine = hashlib.sha256()
            reader.copy(entry.blob, machine.update)
            found[entry.path] = machine.hexdigest()
    return found


def _hash_folder(folder: str, manifest: Manifest) -> dict[str, str]:
    found = {}
    for path in _walk(folder, "", manifest.ignored):
        machine = hashlib.sha256()
        with open(os.path.join(folder, path), "rb") as file:
            while data := file.read(_CHUNK):
                machine.update(data)
        found[path] = machine.hexdigest()
    return found


def _walk(folder: str, below: str, ignored: tuple[str, ...]) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(os.path.join(folder, below)), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"cannot read the folder '{folder}': {error.strerror or error}") from error
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if is_ignored(path, ignored):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, path, ignored)
        else:
            yield path


def _differences(manifest: Manifest, here: dict[str, str]) -> Iterator[str]:
    for path, digest in manifest.files.items():
        if path not in here:
            yield f"'{path}' is missing"
        elif here[path] != digest:
            yield f"'{path}' is another file"
    for path in here.keys() - manifest.files.keys():
        yield f"'{path}' was not signed"


def _kept(git: Git, release: Release, hint: str) -> tuple[bytes, str]:
    """The signature by that key: the kept one, else `model.sig` of the release's own tree."""
    ref = f"{REFS}{release.name}/{hint[:_HINT]}"
    with ObjectReader(git) as reader:
        for name in (ref, f"{release.commit}:{FILE}"):
            found = next(iter(reader.contents([name])))
            if found is not None and found[0].kind == "blob":
                return found[1], name
    others = git.text("for-each-ref", "--format=%(refname)", f"{REFS}{release.name}/").splitlines()
    if others:
        raise NotSigned(release.name, "it is signed by another key: name that one's public half")
    raise NotSigned(
        release.name,
        f"run 'git fetch REMOTE \"{REFS}*:{REFS}*\"' to get signatures, or sign it with 'cwt release sign'",
    )


def _private_key(path: str, password: bytes | None) -> EllipticCurvePrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - an extra, and only signatures need it
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - the same
    except ImportError as error:
        raise SigningUnavailable from error
    try:
        key = load_pem_private_key(_read(path), password)
    except TypeError as error:
        hint = "name a file with its password: --password-file FILE"
        raise BadKey(path, "it is encrypted, or a password was given for one that is not", hint=hint) from error
    except ValueError as error:
        raise BadKey(path, "it is no private key in PEM form, or the password is wrong") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadKey(path, "it is no elliptic-curve key")
    _algorithm(key.public_key(), path)
    return key


def _public_key(path: str) -> EllipticCurvePublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - an extra, and only signatures need it
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - the same
    except ImportError as error:
        raise SigningUnavailable from error
    data = _read(path)
    if b"PRIVATE KEY-----" in data:
        return _private_key(path, None).public_key()
    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise BadKey(path, "it is no public key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadKey(path, "it is no elliptic-curve key")
    _algorithm(key, path)
    return key


def _algorithm(key: EllipticCurvePublicKey, path: str = "") -> ECDSA:
    """Each curve has its hash, as Sigstore has it."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - an extra, and only signatures need it
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - the same

    known = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
    if key.curve.name not in known:
        raise BadKey(path, f"its curve is {key.curve.name}, and P-256, P-384 and P-521 are known")
    return ec.ECDSA(known[key.curve.name])


def _is_by(key: EllipticCurvePublicKey, bundle: Bundle) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra, and only signatures need it

    try:
        key.verify(bundle.signature, bundle.signed, _algorithm(key))
    except InvalidSignature:
        return False
    return True


def _hint(key: EllipticCurvePublicKey) -> str:
    """What names a key in a bundle: the SHA-256 of its PEM form."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - an extra, and only signatures need it

    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise BadKey(path, (error.strerror or str(error)).lower(), hint="name the file of the key") from error
