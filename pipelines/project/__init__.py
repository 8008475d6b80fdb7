"""Pipelines on whole projects: every session in parallel, one table, plots and effect sizes."""

from .outcome import ProjectOutcome
from .project_run import run_project

__all__ = ["ProjectOutcome", "run_project"]
