"""L2: the git binary and the .git folder."""
