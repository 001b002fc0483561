"""Whole data sets: shards, the work folder, workers, publishing, the manifest and verification."""
