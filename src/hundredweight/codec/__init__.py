"""L1: tensor bytes to blocks and back. Pure: bytes in, bytes out.

`block` is the whole interface: `encode`, `decode`, `uses_base`.
"""
