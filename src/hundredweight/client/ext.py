"""Configured pointer extensions, `lfs.extension.<name>.*`: programs that content passes through on its way to the store."""

from __future__ import annotations

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.config import Config

_KEYS = ("clean", "smudge", "priority")


class DuplicatePriority(CwtError):
    """Two extensions claim the same place in the order."""

    hint = "run 'git config --edit' and give each extension its own priority"

    def __init__(self, priority: int, name: str) -> None:
        super().__init__(f"duplicate priority {priority} on {name}")
        self.priority = priority
        self.name = name


class ConfiguredExtension:
    """`clean` and `smudge` are commands with `%f` for the path; `priority` is the place in the order of cleaning."""

    __slots__ = ("clean", "name", "priority", "smudge")

    def __init__(self, name: str, clean: str, smudge: str, priority: int) -> None:
        self.name = name
        self.clean = clean
        self.smudge = smudge
        self.priority = priority


def configured_extensions(config: Config) -> list[ConfiguredExtension]:
    """All of them, in order of priority. Raises `DuplicatePriority`, or `BadConfigValue` for a priority that is no number."""
    found: dict[int, ConfiguredExtension] = {}
    for name in dict.fromkeys(section for key in _KEYS for section in config.subsections("lfs", key)):
        if name.startswith("extension.") and name != "extension.":
            one = _read(config, name.removeprefix("extension."))
            if one.priority in found:
                raise DuplicatePriority(one.priority, one.name)
            found[one.priority] = one
    return [found[priority] for priority in sorted(found)]


def _read(config: Config, name: str) -> ConfiguredExtension:
    section = f"lfs.extension.{name}"
    clean, smudge = config.get(f"{section}.clean"), config.get(f"{section}.smudge")
    return ConfiguredExtension(name, clean, smudge, config.int(f"{section}.priority"))
