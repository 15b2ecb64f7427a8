"""Signatures of releases in the form of OpenSSF Model Signing: a Sigstore bundle v0.3 with an in-toto statement in a DSSE
envelope, which names each file of the release by its SHA-256. Bytes in, bytes out: keys are client/releases/signing.py's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.lineage.fields import Fields, RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
FILE = "model.sig"
IGNORED = (".git", ".gitattributes", ".github", ".gitignore", FILE)
"""What no signature covers, whoever makes it: git's own files, and the signature itself."""
MAX_BUNDLE = 64 << 20


class BadSignature(DamageError):
    """A file is no signature of this form, or one that contradicts itself."""

    hint = "sign the release anew with 'cwt release sign'"

    def __init__(self, what: str) -> None:
        super().__init__(f"the signature cannot be used: {what}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is signed: the SHA-256 of each file by its path, in hex. `ignored` are paths that are not covered, with all below."""

    name: str
    files: dict[str, str]
    ignored: tuple[str, ...] = IGNORED

    def covers(self, path: str) -> bool:
        return not is_ignored(path, self.ignored)

    @property
    def root(self) -> str:
        """One digest over all files, by which others can refer to the release."""
        return _root(self.files[path] for path in sorted(self.files))

    def encode(self) -> bytes:
        """The statement. Equal manifests have equal bytes."""
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": self.name, "digest": {"sha256": self.root}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": sorted(self.ignored),
                },
                "resources": [
                    {"name": path, "algorithm": "sha256", "digest": self.files[path]} for path in sorted(self.files)
                ],
            },
        }
        return json.dumps(statement, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A signature as read: the signed bytes, the signature over `signed`, and the hint of the key, empty in old ones."""

    payload: bytes
    signature: bytes
    hint: str = ""

    @property
    def signed(self) -> bytes:
        """What the key signs (DSSE's pre-authentication encoding)."""
        return pre_authentication(self.payload)

    def encode(self) -> bytes:
        document = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"sig": base64.b64encode(self.signature).decode(), "keyid": ""}],
            },
        }
        return json.dumps(document).encode() + b"\n"

    def manifest(self) -> Manifest:
        """What it says, which is worth nothing before the signature is checked. Raises `BadSignature`."""
        try:
            fields = Fields(json.loads(self.payload), "its statement")
            if fields.text("_type") != STATEMENT or fields.text("predicateType") != PREDICATE:
                raise BadSignature(f"it is no statement of type {PREDICATE}")
            predicate = fields.part("predicate")
            serialization = predicate.part("serialization")
            if serialization.text("method") != "files":
                raise BadSignature(f"it is by '{serialization.text('method')}', and only 'files' is known")
            files = _resources(predicate)
            subjects = fields.parts("subject")
            # The order that the signer chose counts.
            if len(subjects) != 1 or subjects[0].part("digest").text("sha256") != _root(files.values()):
                raise BadSignature("its files do not make up its digest")
            return Manifest(subjects[0].text("name"), files, serialization.texts("ignore_paths"))
        except (ValueError, RecursionError, RecordInvalid) as error:
            raise BadSignature(str(error)) from error


def decode(data: bytes) -> Bundle:
    """Raises `BadSignature`."""
    if len(data) > MAX_BUNDLE:
        raise BadSignature(f"it has more than {MAX_BUNDLE} bytes")
    try:
        fields = Fields(json.loads(data), "the bundle")
        envelope = fields.part("dsseEnvelope")
        signatures = envelope.parts("signatures")
        if envelope.text("payloadType") != PAYLOAD or len(signatures) != 1:
            raise BadSignature("it is no envelope of one in-toto statement")
        material = fields.part("verificationMaterial")
        if "publicKey" not in material.table:
            raise BadSignature("it was not made with a key: certificates and Sigstore identities are not read")
        payload = _bytes(envelope, "payload")
        return Bundle(payload, _bytes(signatures[0], "sig"), material.part("publicKey").text("hint"))
    except (ValueError, RecursionError, RecordInvalid) as error:
        raise BadSignature(str(error)) from error


def pre_authentication(payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def is_ignored(path: str, ignored: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in ignored)


def _resources(predicate: Fields) -> dict[str, str]:
    files: dict[str, str] = {}
    for resource in predicate.parts("resources"):
        name, digest = resource.text("name"), resource.text("digest").lower()
        if resource.text("algorithm") != "sha256" or len(bytes.fromhex(digest)) != 32:
            raise BadSignature(f"'{name[:80]}' has no SHA-256")
        if name in files:
            raise BadSignature(f"'{name[:80]}' is in it twice")
        files[name] = digest
    return files


def _root(digests: Iterable[str]) -> str:
    machine = hashlib.sha256()
    for digest in digests:
        machine.update(bytes.fromhex(digest))
    return machine.hexdigest()


def _bytes(fields: Fields, key: str) -> bytes:
    value = fields.table.get(key)
    if not isinstance(value, str):
        raise fields.fault(key, "base64")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise fields.fault(key, "base64") from error
