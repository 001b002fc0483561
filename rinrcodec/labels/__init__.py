"""Label files of every format: to boxes of a frame, and back."""
