"""L1: the weight file formats, as pure knowledge: which paths hold weights, and what tensors a file has.

`recognise` finds the format by content; each format's module has `read(source)`, which gives a `tensors.WeightFile`; `content`
streams a tensor's bytes, `identity` names a set of tensors. All of it works on a `source.Source` that the caller hands in.
"""
