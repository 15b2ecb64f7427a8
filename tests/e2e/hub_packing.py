"""Run as a program: packs everything that is loose on a hub, as the hub's own thread does. `DATA` is the hub's folder."""

from __future__ import annotations

import sys

from hundredweight.base.errors import CwtError
from hundredweight.hub.packs.background import BackgroundPacker
from hundredweight.hub.services import open_services
from hundredweight.hub.settings import load


def main(data: str) -> None:
    """Says when it begins."""
    services = open_services(load({}, data=data))
    failed: list[CwtError] = []
    packer = BackgroundPacker(services.store, services.packs, services.activity, failed.append)
    print("begins", flush=True)
    packer.pack_all()
    if failed:
        raise failed[0]
    services.close()


if __name__ == "__main__":
    main(sys.argv[1])
