"""Data sets: what their versions hold and how they differ."""
