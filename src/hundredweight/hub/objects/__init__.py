"""LFS objects: the batch API, upload, download, verify, and which repository possesses what."""
