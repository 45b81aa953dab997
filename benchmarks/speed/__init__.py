"""How fast dettoolkit is beside others: the same work on the same tensors, in turn, in one run."""
