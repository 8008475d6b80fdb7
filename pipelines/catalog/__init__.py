"""The pipelines that XNAT offers: one table, and the files generated from it."""

from .table import Catalog, Input, Pipeline, load_catalog

__all__ = ["Catalog", "Input", "Pipeline", "load_catalog"]
