"""Which process of a distributed training this is: the first one records."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")


def rank(variables: Mapping[str, str]) -> int:
    """By torchrun's, MPI's or Slurm's variables; 0 where there is one process only."""
    for name in _RANKS:
        text = variables.get(name, "")
        if text.isascii() and text.isdigit():
            return int(text)
    # A job step has a rank even where its batch script is one process.
    several = variables.get("SLURM_STEP_NUM_TASKS", variables.get("SLURM_NTASKS", "1")) != "1"
    text = variables.get("SLURM_PROCID", "")
    return int(text) if several and text.isascii() and text.isdigit() else 0
