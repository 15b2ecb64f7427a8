"""Which implementation of the passes runs: numpy's, or the compiled one once that pays. Both give the same bytes.

Numba takes about half a second to import and load, as long as numpy takes for some hundred MB. So a process starts with
numpy, and
changes over when it has worked on `WORTH` bytes, if numba is installed; who knows that so many will come says so.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hundredweight.codec.passes import NumpyPasses

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hundredweight.codec.passes import Passes

WORTH = 128 << 20


class Kernel(Enum):
    """Compiled passes `AUTO`: when they pay; `ON`: at once (an ImportError says that numba is missing); `OFF`: never."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Choice:
    """What one process has loaded."""

    def __init__(self) -> None:
        self.seen = 0
        self.numpy: Passes = NumpyPasses()
        self.compiled: Passes | None = None
        self.missing = False
        self._coming: Future[None] | None = None
        self._lock = threading.Lock()

    def expect(self, length: int) -> None:
        with self._lock:
            if length < WORTH or self.compiled is not None or self.missing or self._coming is not None:
                return
            pool = ThreadPoolExecutor(1, "kernel")
            self._coming = pool.submit(self._load, Kernel.AUTO)
            pool.shutdown(wait=False)

    def passes(self, kernel: Kernel, length: int) -> Passes:
        if kernel is Kernel.OFF:
            return self.numpy
        if self.compiled is None:
            if self._coming is not None:
                # What numpy did meanwhile would take several times as long.
                self._coming.result()
            self.seen += length
            if kernel is Kernel.ON or (self.seen >= WORTH and not self.missing):
                self._load(kernel)
        return self.compiled or self.numpy

    def _load(self, kernel: Kernel) -> None:
        if kernel is Kernel.AUTO and find_spec("numba") is None:
            self.missing = True
            return
        from hundredweight.codec.compiling import has_wide_vectors  # noqa: PLC0415 - a second, and an optional dependency

        # Two threads may come here at once: the imports are done once, and what they give has no state.
        if has_wide_vectors():
            from hundredweight.codec.wide import WidePasses  # noqa: PLC0415 - likewise

            self.compiled = WidePasses()
        else:
            from hundredweight.codec.compiled import CompiledPasses  # noqa: PLC0415 - likewise

            self.compiled = CompiledPasses()


_choice = Choice()


def expect(length: int) -> None:
    """So many bytes will be worked on soon: where that pays, the compiled passes are loaded meanwhile, in a thread."""
    _choice.expect(length)


def passes(kernel: Kernel, length: int) -> Passes:
    """The passes for the next `length` bytes."""
    return _choice.passes(kernel, length)


def loaded() -> bool:
    """Whether the compiled passes are there: then whoever has kernels of its own loads them at little cost."""
    return _choice.compiled is not None
