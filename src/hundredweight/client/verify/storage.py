"""Whether everything big, and everything that is weights, went through Git LFS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.sizes import format_size
from hundredweight.client.verify.findings import Finding, Severity, command
from hundredweight.formats.names import is_weight_file, lfs_pattern, lfs_patterns
from hundredweight.git.objects import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.client.verify.subject import Subject
    from hundredweight.git.scan import BlobEntry

BIG = 10 << 20
_PICKLES = (".pkl", ".pickle", ".dill", ".cloudpickle")
_MAYBE_PICKLES = (".bin", ".model", ".params", ".weights", ".data", ".dat", ".sav", ".obj", ".state")
_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def check_storage(subject: Subject) -> Iterator[Finding]:
    """Files of the commit whose bytes are in Git itself and should not be; and pointers that nobody will follow."""
    with ObjectReader(subject.git) as reader:
        for entry in subject.entries:
            if not entry.is_regular or not entry.size:
                continue
            pointer = subject.pointers.get(entry.path)
            if pointer is None:
                yield from _in_git(subject, entry, reader)
            elif not subject.rules.is_tracked(entry.path):
                yield Finding(
                    "attributes",
                    "untracked-pointer",
                    "is a pointer, but .gitattributes does not give it to Git LFS: checkouts will hold the pointer",
                    entry.path,
                    f"{command('git', 'lfs', 'track', '--filename', entry.path)} && git add .gitattributes && "
                    + command("git", "commit", "-m", f"Give {entry.path} to Git LFS"),
                )
            elif not pointer.canonical:
                yield Finding(
                    "storage",
                    "pointer-form",
                    "is a pointer of an older form, so Git sees it as changed after each checkout",
                    entry.path,
                    command("git", "add", "--renormalize", "--", entry.path),
                    Severity.WARNING,
                )


def check_attributes(subject: Subject) -> Iterator[Finding]:
    """Weight formats that would land in Git itself tomorrow."""
    missing = [pattern for pattern in lfs_patterns() if not _is_decided(subject, pattern.replace("*", "x"))]
    if missing:
        few = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        text = f"does not give {few} to Git LFS"
        yield Finding("attributes", "attributes-gap", text, ".gitattributes", "cwt init", Severity.WARNING)


def _in_git(subject: Subject, entry: BlobEntry, reader: ObjectReader) -> Iterator[Finding]:
    path, size = entry.path, format_size(entry.size)
    if subject.rules.is_tracked(path):
        text = f"belongs to Git LFS by .gitattributes, but Git has its {size}"
        yield Finding("storage", "not-in-lfs", text, path, _convert(path))
    elif is_weight_file(path) and not _is_decided(subject, path):
        text = f"are weights in Git itself ({size}): .gitattributes does not give {lfs_pattern(path)} to Git LFS"
        yield Finding(
            "attributes", "weights-in-git", text, path, f"cwt init && git add .gitattributes && {_convert(path)}"
        )
    elif subject.weights is not None and subject.weights.allows(path):
        text = f"are weights by hundredweight.toml, and in Git itself ({size})"
        yield Finding("storage", "weights-in-git", text, path, _track_and_convert(path))
    elif entry.size > BIG:
        yield Finding("storage", "big-file", f"is big ({size}) and in Git itself", path, _track_and_convert(path))
    elif _is_pickle(path, entry.blob, reader):
        text = f"is a pickle in Git itself ({size}): it runs code when it is loaded, and nobody sees what changes in it"
        yield Finding("storage", "pickle", text, path, _track_and_convert(path))


def _convert(path: str) -> str:
    commit = command("git", "commit", "-m", f"Move {path} to Git LFS")
    return f"{command('git', 'add', '--renormalize', '--', path)} && {commit}"


def _track_and_convert(path: str) -> str:
    return f"{command('git', 'lfs', 'track', '--filename', path)} && git add .gitattributes && {_convert(path)}"


def _is_decided(subject: Subject, path: str) -> bool:
    """Whether .gitattributes says of this path that it goes through LFS, or that it does not."""
    return subject.rules.has_filter(path)


def _is_pickle(path: str, blob: str, reader: ObjectReader) -> bool:
    lowered = path.lower()
    if lowered.endswith(_PICKLES):
        return True
    if not lowered.endswith(_MAYBE_PICKLES):
        return False
    return reader.read(blob)[:2] in _PROTOCOLS
