"""Git's C-style quoting, in which files and output hold names that plain text cannot."""

from __future__ import annotations

import os

_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34}


def unquote(text: str) -> tuple[str | None, str]:
    """Of a text that starts with a double quote: what the quotes hold, and what follows. None where they are malformed."""
    out = bytearray()
    place = 1
    while place < len(text):
        char = text[place]
        place += 1
        if char == '"':
            return os.fsdecode(bytes(out)), text[place:]
        if char != "\\":
            out += os.fsencode(char)
        elif text[place : place + 1] in _ESCAPES:
            out.append(_ESCAPES[text[place]])
            place += 1
        elif len(digits := text[place : place + 3]) == 3 and set(digits) <= set("01234567") and digits[0] in "0123":
            out.append(int(digits, 8))
            place += 3
        else:
            break
    return None, ""
