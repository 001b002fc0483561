"""The parts of `fleet.py`, one report each."""
