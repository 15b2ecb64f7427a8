"""The hub's records: who may do what, which repositories there are, what each possesses, what is locked."""
