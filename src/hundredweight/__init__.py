"""Hundredweight: Git for model weights. The package opens with its version only, so that hooks start fast; what Python programs
use (`log`, `open`, `load_tensors`, `experiments`, `releases`) is loaded when it is first asked for."""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.api import experiments as experiments
    from hundredweight.api import load_tensors as load_tensors
    from hundredweight.api import log as log
    from hundredweight.api import open as open
    from hundredweight.api import releases as releases

_API = frozenset(("experiments", "load_tensors", "log", "open", "releases"))


def __getattr__(name: str) -> object:
    if name not in _API:
        raise AttributeError(f"module 'hundredweight' has no attribute '{name}'")
    from hundredweight import api  # noqa: PLC0415 - filters and hooks do without

    found: object = getattr(api, name)
    return found


def __dir__() -> list[str]:
    return sorted((*globals(), *_API))
