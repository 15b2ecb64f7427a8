"""L5: the HTTP server."""
