"""`make bench-weights`: versions of real weights, stored and moved by this program and by others, in one table."""
