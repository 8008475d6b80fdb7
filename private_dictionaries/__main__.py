"""Run ``python -m private_dictionaries``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="python -m private_dictionaries")
