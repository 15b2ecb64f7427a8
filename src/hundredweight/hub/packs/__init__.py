"""Packs on the hub: where their segments stand, how packed objects are read, and the packing of what came loose."""
