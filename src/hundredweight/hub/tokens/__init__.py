"""Tokens: made once, kept as hashes, with a scope and perhaps bound to an owner or a repository."""
