"""L5: the actions of a user on a clone, one module each. Never prints, never reads the environment."""
