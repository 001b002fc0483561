"""Hosts that open .rinr files: Pillow, torch data loading, YOLO."""
