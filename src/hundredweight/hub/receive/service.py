"""The pre-receive hook's work: read git's input, run the checks, say what is wrong in the user's terminal."""

from __future__ import annotations

from hundredweight.git.run import Git, service_environment
from hundredweight.hub.receive.checks import examine
from hundredweight.hub.receive.push import QUARANTINE_VARIABLES, Push, RefUpdate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.hub.receive.push import Authority, Refusal

SHORT = 10


def pre_receive(
    folder: str, lines: Iterable[str], variables: Mapping[str, str], authority: Authority, max_blob: int
) -> str:
    """The text of the refusal; empty when the push may pass.

    `folder` is the bare repository, `lines` and `variables` are what git gave its hook. Raises `CwtError` where the push
    could not be examined: it must be refused then too.
    """
    quarantine = {name: variables[name] for name in QUARANTINE_VARIABLES if name in variables}
    git = Git(folder, service_environment(variables=quarantine))
    updates = [RefUpdate.parse(line) for line in lines]
    return render(examine(Push(updates, git, authority, max_blob)))


def render(refusals: list[Refusal]) -> str:
    """One block a kind: what, where (the first paths), and what to do."""
    blocks = []
    for refusal in refusals:
        what = refusal.kind.one if refusal.count == 1 else refusal.kind.many
        lines = [f"error: push refused: {refusal.count} {what}"]
        for finding in refusal.findings:
            where = f" in {finding.commit[:SHORT]}" if finding.commit else ""
            lines.append(f"  {printable(finding.path)}{where}: {finding.detail}")
        if refusal.count > len(refusal.findings):
            lines.append(f"  and {refusal.count - len(refusal.findings)} more")
        lines += [f"hint: {hint}" for hint in refusal.hints]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def printable(path: str) -> str:
    """`path` for a terminal: nothing in it can move the cursor or look like another line."""
    if path.isprintable():
        return path
    return "".join(char if char.isprintable() else _escape(char) for char in path)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code < 0xDD00 else ascii(char)[1:-1]
