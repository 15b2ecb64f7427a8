"""Programs for those who build the project."""
