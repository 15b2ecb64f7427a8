"""L1: the weight file formats, as pure knowledge. So far: which paths hold weights."""
