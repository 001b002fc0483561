"""A package, so that its fixtures end with it: Ultralytics replaces functions of others."""
