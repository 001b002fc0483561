"""`python -m rinrcodec` is the command `rinrcodec`."""

from __future__ import annotations

from rinrcodec.cli.main import main

main()
