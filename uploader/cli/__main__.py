"""Run the command with ``python -m uploader.cli``."""

from . import main

main()
