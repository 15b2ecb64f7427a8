"""A model with three releases on this machine, and a target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploying import Releases, Site
from tests.people import Person


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Shared: tests add nothing to it."""
    person = Person("ada", tmp_path_factory.mktemp("ada"))
    person.run("git", "lfs", "install", "--skip-repo")
    made = Releases(person)
    for _ in range(3):
        made.add()
    made.assign("model@v1.2.0", "prod", 1)
    return made


@pytest.fixture
def site(releases: Releases, tmp_path: Path) -> Iterator[Site]:
    """Nothing is deployed there yet."""
    made = Site(Person("eve", tmp_path / "eve"), str(releases.folder))
    yield made
    made.end_services()
