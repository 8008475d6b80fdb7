"""Run ``python -m private_dictionaries``."""

from .cli import main

main(prog_name="python -m private_dictionaries")
