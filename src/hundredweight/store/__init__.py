"""L3: objects (SHA-256, size): the clone's loose objects and the hub's object store."""
