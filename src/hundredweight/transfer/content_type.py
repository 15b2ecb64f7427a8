"""The Content-Type of an upload, guessed from its first 512 bytes as git-lfs does (the WHATWG sniffing rules).

Some servers choose by it how they serve the object later; `lfs.<url>.contenttype` turns it off.
"""

from __future__ import annotations

SNIFF_LENGTH = 512
DEFAULT = "application/octet-stream"

_MARKS = (
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"),
    (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
)
_RIFF = ((b"WEBPVP", "image/webp"), (b"AVI ", "video/avi"), (b"WAVE", "audio/wave"))
_TAGS = (
    b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A", b"<STYLE",
    b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P",
)  # fmt: skip
_BINARY = frozenset([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])


def sniff(head: bytes) -> str:
    """The type of content that begins with `head`."""
    head = head[:SNIFF_LENGTH]
    stripped = head.lstrip(b"\t\n\x0c\r ")
    if _is_html(stripped):
        return "text/html; charset=utf-8"
    if stripped.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if head.startswith(b"RIFF"):
        for mark, kind in _RIFF:
            if head[8:].startswith(mark):
                return kind
    if head.startswith(b"FORM") and head[8:12] == b"AIFF":
        return "audio/aiff"
    if _is_mp4(head):
        return "video/mp4"
    return DEFAULT if not _BINARY.isdisjoint(head) else "text/plain; charset=utf-8"


def _is_html(text: bytes) -> bool:
    if not text.startswith(b"<"):
        return False
    upper = text[:20].upper()
    if upper.startswith(b"<!--"):
        return True
    return any(upper.startswith(tag) and text[len(tag) : len(tag) + 1] in (b" ", b">") for tag in _TAGS)


def _is_mp4(head: bytes) -> bool:
    size = int.from_bytes(head[:4], "big")
    if len(head) < 12 or len(head) < size or size % 4 or head[4:8] != b"ftyp":
        return False
    return any(head[at : at + 3] == b"mp4" for at in range(8, size, 4) if at != 12)
