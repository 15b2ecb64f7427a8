"""What the names of files and folders, and values of a split column, tell: train, val or test; the label; whether a file
is an item."""

from __future__ import annotations

import re

_SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "holdout": "test",
}
_ORDER = {"train": 0, "val": 1, "test": 2}
_NO_LABELS = frozenset(
    ("images", "image", "imgs", "img", "data", "audio", "video", "files", "raw", "items", "samples", "texts", "dataset")
)
_ITEM_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".dcm", ".wav", ".flac", ".mp3", ".ogg",
    ".m4a", ".mp4", ".avi", ".mov", ".mkv", ".txt", ".npy", ".npz", ".xml", ".json",
)  # fmt: skip
_NO_ITEMS = re.compile(
    r"(readme|license|licence|notice|changelog|metadata|dataset_infos?|classes|labels)\b.*|\..*", re.I
)
_WORD = re.compile(r"[a-z]+")


def split_of_value(value: str) -> str:
    """A value of a split column; other names than the usual ones stay as they are."""
    text = value.strip()
    return _SPLITS.get(text.lower(), text)


def split_of_path(path: str) -> str:
    """`train`, `val`, `test` or nothing, by the words of the file's name, else by those of its folders, the innermost first."""
    for part in reversed(path.lower().split("/")):
        words = _WORD.findall(part)
        found = [_SPLITS[word] for word in words if word in _SPLITS]
        if found:
            return found[0]
    return ""


def label_of_path(path: str) -> str:
    """The innermost folder that names neither a split nor just files: `train/cat/1.png` is a `cat`."""
    for part in reversed(path.split("/")[:-1]):
        lowered = part.lower()
        if lowered not in _NO_LABELS and not split_of_path(lowered):
            return part
    return ""


def is_item(path: str) -> bool:
    """Whether a file is one item of a data set, by its name: an image, a recording, a text."""
    name = path.rpartition("/")[2]
    return name.lower().endswith(_ITEM_SUFFIXES) and not _NO_ITEMS.fullmatch(name)


def split_order(split: str) -> tuple[int, str]:
    """train, val, test, then the others by name."""
    return _ORDER.get(split, 3), split
