"""Displays for people: the progress of long work, and small pictures of frames with their boxes."""
