"""L2: key -> bytes stores behind the hub. Dumb on purpose; what is stored is decided in `store`."""
