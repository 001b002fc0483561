"""Bounds on text files from strangers: data yamls, labels, lists of pictures, JSON.

Readers count before they take memory or time. `limits.Limits` has the bounds on packs.
"""

from __future__ import annotations

MOST_YAML_BYTES = 2**22
MOST_YAML_NODES = 250_000  # words, lists and maps
MOST_YAML_DEPTH = 32  # lists and maps inside each other
MOST_DIGITS = 1000  # of a number in a yaml
MOST_CLASSES = 65_536  # that may have a name
MOST_CLASS_NAME = 1000  # characters
MOST_LIST_BYTES = 2**27  # of a list of pictures: a million long paths
MOST_LIST_LINE = 4096  # characters; no path is longer
MOST_LABEL_BYTES = 2**24  # of the labels of one picture, as packs hold them
MOST_LABEL_LINES = 2**17  # twice the boxes of a frame
MOST_LABEL_LINE = 2**20  # characters: an outline of 50,000 points
MOST_XML_DEPTH = 12
MOST_XML_ELEMENTS = 2**20
MOST_COCO_BYTES = 2**31
MOST_JSON_DEPTH = 64
MOST_MESSAGES = 20  # about one file
MOST_MISSING = 1000  # pictures of one list that are named one by one
