"""What can be wrong with a block."""

from __future__ import annotations

from hundredweight.base.errors import DamageError


class CodecError(DamageError):
    """A block does not decode: it is damaged, made to deceive, or was made against another base."""

    hint = "run 'git lfs fsck' to find what is damaged"
