"""Run commands of the Container Service without a container engine."""

from .runner import run

__all__ = ["run"]
