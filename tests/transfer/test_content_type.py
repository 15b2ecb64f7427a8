"""Guessing the type of an upload, as Go's http.DetectContentType does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.transfer.content_type import DEFAULT, SNIFF_LENGTH, sniff


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "text/plain; charset=utf-8"),
        (b"  \n<!DOCTYPE html>...", "text/html; charset=utf-8"),
        (b"<HTML >", "text/html; charset=utf-8"),
        (b"<htmlx>", "text/plain; charset=utf-8"),
        (b"<!-- comment", "text/html; charset=utf-8"),
        (b"\n<?xml version", "text/xml; charset=utf-8"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"RIFF....WEBPVP8", "image/webp"),
        (b"RIFF....WAVEfmt", "audio/wave"),
        (b"RIFF....other", "text/plain; charset=utf-8"),
        (b"FORM....AIFF", "audio/aiff"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00isommp42", "video/mp4"),
        (b"\x00\x00\x00\x18ftypabcd\x00\x00\x00\x00isomabcd", DEFAULT),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b\x08", "application/x-gzip"),
        (b"GGUF\x03\x00\x00\x00", DEFAULT),
        (b'\x58\x00\x00\x00\x00\x00\x00\x00{"__metadata__"', DEFAULT),
        ("größe".encode(), "text/plain; charset=utf-8"),
    ],
)
def test_kinds(head: bytes, kind: str) -> None:
    assert sniff(head) == kind


@given(st.binary(max_size=600))
def test_only_the_beginning_counts(data: bytes) -> None:
    padded = data.ljust(SNIFF_LENGTH, b"\x00")
    assert sniff(padded) == sniff(padded + b"<html>")
