"""Sources that have no end and cannot be read twice: standard input and cameras."""
