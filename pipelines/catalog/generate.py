"""Write the generated files beside the table: ``python -m pipelines.catalog.generate``."""

from pathlib import Path

from .files import write_files

if __name__ == "__main__":
    write_files(Path(__file__).parent)
