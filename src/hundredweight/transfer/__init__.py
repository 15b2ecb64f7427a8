"""L4: moving objects between a clone and an LFS server."""
