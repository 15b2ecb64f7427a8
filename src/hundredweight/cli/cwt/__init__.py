"""The commands of `cwt`, one module each."""
