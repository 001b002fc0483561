"""Measurements: other codecs at equal bytes, the ladder of the paper, the fog model, and advice."""
