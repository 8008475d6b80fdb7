"""The command ``xnat-pic-pipelines warm``."""

from __future__ import annotations

import click

from xnat_pic.cli import echo_json, exit_code_help, json_option

from .maps import MAPS
from .parts import echo_line, end_on_error

EXIT_CODES = exit_code_help(
    {
        0: "every map was fitted",
        2: "wrong call, or nothing can be written",
        3: "a map cannot be fitted: what is installed here does not work",
    }
)


@click.command("warm", epilog=EXIT_CODES)
@click.argument("maps", metavar="[MAP]...", nargs=-1, type=click.Choice(sorted(MAPS)))
@json_option
def warm(maps: tuple[str, ...], as_json: bool) -> None:
    """Fit every map that the pipelines offer once, of small synthetic images.

    It shows that the program works where it is installed, and compiles the kernels, which every
    later run on processors of the same kind finds in the cache. MAP names some of them, such as t2.
    """
    from ..maps.warm import warm as fit_all

    with end_on_error():
        done = fit_all(maps, echo_line)
    echo_line(f"{len(done)} maps were fitted.")
    if as_json:
        echo_json(done)
