"""The parts of `pyramid.py`: comparisons of the family `pyramid` with other codecs."""
