"""What no test may ever find: an object under its final name with other bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path


def damaged(objects: Path) -> list[str]:
    """Of all files named by 64 hex digits below a folder, those whose SHA-256 is another."""
    found = [path for path in objects.rglob("*") if re.fullmatch("[0-9a-f]{64}", path.name) and path.is_file()]
    return [str(path) for path in found if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]
