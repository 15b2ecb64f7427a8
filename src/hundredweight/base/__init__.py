"""L0: ids, errors, atomic files, progress, trace, clock. Imports nothing of ours and no heavy module."""
