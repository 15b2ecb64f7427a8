"""File locks: one owner a path, on all branches alike."""
