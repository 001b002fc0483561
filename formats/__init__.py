"""The .rinr container: reading and writing packs. No torch, no PIL, no click."""
