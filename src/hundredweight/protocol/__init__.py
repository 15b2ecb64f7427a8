"""L1: wire messages and pointers. Values in, values out; no I/O; does not know whether it serves client or hub."""
