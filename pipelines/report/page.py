"""Write ``report.html`` and the picture of each map."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..commands import COMMANDS
from ..fitted import Fitted
from ..inputs.grid import in_words
from ..models.result import count_flags
from ..outputs.pictures import as_png, map_figure
from ..outputs.protocol import values_used
from ..version import version
from . import checks, plots

_COLOURS = 3
_KEYWORDS = {
    "EchoTime": "echo_time_ms",
    "RepetitionTime": "repetition_time_ms",
    "InversionTime": "inversion_time_ms",
    "FlipAngle": "flip_angle_deg",
    "bValues": "b_value",
    "SaturationOffsetPpm": "offset_ppm",
}
_SECONDS = ("EchoTime", "RepetitionTime", "InversionTime")


def write_report(folder: Path, fitted: Fitted, rows: dict[str, dict[str, Any]]) -> None:
    """Write ``png/<map>.png`` for every map, and ``report.html``, which needs no other file.

    Parameters
    ----------
    folder : Path
        The folder of results.
    fitted : Fitted
        The fit.
    rows : dict
        Rows of ``maps.json``; each gets the name of its picture.
    """
    import jinja2

    pictures = _map_pictures(folder, fitted, rows)
    for alt, figure in (
        ("Histograms and residuals", plots.overview(fitted)),
        ("Example voxels", plots.examples(fitted)),
        ("Mean signal", plots.mean_curve(fitted)),
    ):
        pictures.append({"alt": alt, "data": _base64(as_png(figure))})
    source = (resources.files(__package__) / "page.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    text = page.render(
        title=f"{COMMANDS[fitted.command].title} map",
        subtitle=_subtitle(fitted),
        notes=fitted.notes,
        checks=checks.run_checks(fitted),
        maps=_map_rows(fitted),
        slices=_slice_rows(fitted),
        pictures=pictures,
        flags=_flag_rows(fitted),
        protocol=_protocol_rows(fitted),
        made=_made(fitted),
    )
    (folder / "report.html").write_text(text, encoding="utf-8", newline="\n")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _map_pictures(
    folder: Path, fitted: Fitted, rows: dict[str, dict[str, Any]]
) -> list[dict[str, str]]:
    (folder / "png").mkdir()
    affine = fitted.images.affine
    aspect = float(np.linalg.norm(affine[:3, 1]) / np.linalg.norm(affine[:3, 0]))
    pictures = []
    for name, one in fitted.result.maps.items():
        if one.values.ndim > 1 and name != "color":
            continue
        figure = map_figure(name, fitted.volume(one.values), one.unit, aspect)
        data = as_png(figure)
        (folder / "png" / f"{name}.png").write_bytes(data)
        rows[name]["png"] = f"png/{name}.png"
        pictures.append({"alt": f"Map {name}", "data": _base64(data)})
    flags = np.where(fitted.mask, fitted.volume(fitted.result.flags), 0).astype(np.float32)
    top = max(float(flags.max()), 1.0)
    figure = map_figure("flags in the mask", flags, "bits", aspect, (0, top))
    pictures.append({"alt": "Flags", "data": _base64(as_png(figure))})
    return pictures


def _subtitle(fitted: Fitted) -> str:
    slices, rows, columns = fitted.images.grid
    return (
        f"Model {fitted.result.model}; {len(fitted.images.data)} images of {columns} x {rows} x "
        f"{slices} voxels; {int(fitted.mask.sum())} voxels in the mask, "
        f"{int(fitted.valid.sum())} with a value."
    )


def _statistics(values: npt.NDArray[np.float32]) -> dict[str, str]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"valid": "0", "median": "-", "quartiles": "-", "spread": "-"}
    low, middle, high = np.percentile(finite, [25, 50, 75])
    spread = 74.13 * (high - low) / abs(middle) if middle else np.nan
    return {
        "valid": str(finite.size),
        "median": f"{middle:.4g}",
        "quartiles": f"{low:.4g} to {high:.4g}",
        "spread": f"{spread:.1f} %",
    }


def _map_rows(fitted: Fitted) -> list[dict[str, str]]:
    rows = []
    for name, one in fitted.result.maps.items():
        if one.values.ndim > 1:
            continue
        error = "-"
        if one.error is not None and np.isfinite(one.error).any():
            error = f"{np.nanmedian(one.error):.3g}"
        rows.append({"name": name, "unit": one.unit, **_statistics(one.values), "error": error})
    return rows


def _slice_rows(fitted: Fitted) -> list[dict[str, str]]:
    volume = fitted.volume(next(iter(fitted.result.maps.values())).values)
    return [{"slice": str(k + 1), **_statistics(plane)} for k, plane in enumerate(volume)]


def _flag_rows(fitted: Fitted) -> list[dict[str, str]]:
    inside = fitted.result.flags[fitted.mask.ravel()]
    return [
        {
            "name": name.lower().replace("_", " "),
            "count": str(count),
            "share": f"{100 * count / max(len(inside), 1):.2f} %",
        }
        for name, count in count_flags(inside).items()
    ]


def _protocol_rows(fitted: Fitted) -> list[dict[str, str]]:
    rows = []
    for keyword, value in values_used(fitted).items():
        name = _KEYWORDS[keyword]
        factor, unit = (1000.0, " ms") if keyword in _SECONDS else (1.0, "")
        flat = np.unique(np.ravel(value)) if not isinstance(value, list) else np.ravel(value)
        text = ", ".join(f"{float(v) * factor:g}" for v in flat[:400])
        rows.append(
            {
                "name": in_words(name),
                "values": text + unit,
                "source": fitted.images.origin.get(name, ""),
            }
        )
    return rows


def _made(fitted: Fitted) -> list[tuple[str, str]]:
    result = fitted.result
    sigma = "not known" if result.sigma is None else f"{result.sigma:.5g}"
    rows = [
        ("Mask", fitted.mask_source),
        ("Noise", f"{sigma} ({fitted.sigma_source})"),
        *((name.replace("_", " "), str(value)) for name, value in result.settings.items()),
        ("Software", f"xnat-pic {version()}"),
        ("Inputs", f"{len(fitted.images.files)} files; checksums in provenance.json"),
    ]
    return [(name, value if len(value) < 2000 else value[:2000] + " ...") for name, value in rows]
