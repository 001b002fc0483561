"""Support for pictures of the field: kinds of files, depth, metadata, JPEGs without an end."""
