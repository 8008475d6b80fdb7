"""How the service names what keeps a run from its good end."""

from __future__ import annotations

from ..engine.errors import RunError


class ResolutionError(RunError):
    """The command cannot be put together for this launch."""


class LaunchError(RunError):
    """The container cannot be started."""


class OutputsError(RunError):
    """An output that the command requires cannot be handed over."""


class ExitError(RunError):
    """The container ended with a status other than 0."""
