"""The frames of many packs under one numbering, their pictures and parts: for `view`."""
