"""Whether dettoolkit computes what the references compute: a table, and the tests of the same comparisons."""
