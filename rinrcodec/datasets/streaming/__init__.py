"""`compress` of what comes once: the standard input and cameras."""
