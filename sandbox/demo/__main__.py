"""The command behind ``make demo``."""

from __future__ import annotations

from pathlib import Path

import click

from xnat_pic.cli import exit_code_help, run_command

from .demo_folder import Options

NAMES = (
    *("mouse", "convert", "install", "upload", "verify"),
    *("t2", "dwi", "regions", "measure", "compare"),
)
EXIT_CODES = {
    0: "all done, and every number agrees with what was planted",
    2: "wrong call",
    8: "a stage failed, or a number is out: the output names it",
}


@click.command(
    epilog=exit_code_help(EXIT_CODES), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
@click.option("--stage", type=click.Choice(NAMES), help="Run this stage alone.  [default: all]")
@click.option("--serve", "stay", is_flag=True, help="Serve the archive afterwards, until Ctrl+C.")
@click.option(
    "--animals",
    type=click.IntRange(1, 99),
    default=Options.animals,
    show_default=True,
    help="Animals in each arm: the untreated, and those of each dose.",
)
@click.option(
    "--doses",
    type=click.IntRange(1, 9),
    default=Options.doses,
    show_default=True,
    help="Doses of the treatment.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=Options.workers,
    show_default=True,
    help="Processes at the same time.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=Options.port,
    show_default=True,
    help="Port of the archive; 0 takes a free one.",
)
def main(
    folder: Path, stage: str | None, stay: bool, animals: int, doses: int, workers: int, port: int
) -> None:
    """Tell the whole story in FOLDER (by default ./demo).

    Digital mice of a treatment study are scanned, converted, uploaded to an archive on this
    machine, mapped, outlined and measured there; each number is compared with what was planted.
    """
    from .demo_run import run_demo  # numpy and the rest are loaded only for the story itself

    options = Options(animals=animals, doses=doses, workers=workers, port=port)
    run_command(
        "demo",
        lambda: run_demo(folder, options, stage=stage or "", stay=stay),
        stopped="stopped. Start again from the beginning, or go on with --stage.",
    )


if __name__ == "__main__":
    main()
