"""What pictures of the field need: kinds of files, depth, metadata, JPEGs without an end marker."""
