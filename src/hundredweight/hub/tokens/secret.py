"""The text of a token: `cwt_`, 32 random bytes and a checksum, in letters and digits.

The prefix lets secret scanners find leaked tokens, the checksum tells a mistyped one from a revoked one without a look-up.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib

PREFIX = "cwt_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY = 43  # 62**43 > 2**256
_SUM = 6


def make() -> str:
    """A new token."""
    body = _base62(int.from_bytes(secrets.token_bytes(32)), _BODY)
    return PREFIX + body + _checksum(body)


def is_wellformed(text: str) -> bool:
    """Whether `text` may be a token: prefix, length and checksum are right."""
    if not text.startswith(PREFIX) or len(text) != len(PREFIX) + _BODY + _SUM or not text.isascii():
        return False
    body = text[len(PREFIX) : -_SUM]
    return text[-_SUM:] == _checksum(body)


def digest(text: str) -> str:
    """What is stored of a token. One SHA-256 is enough: 256 random bits cannot be guessed, with or without a slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _SUM)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
