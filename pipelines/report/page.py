"""Write ``report.html`` and the picture of each map."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.version import version

from ..fitting.data import FittedMap
from ..fitting.methods import MAP_METHODS
from ..inputs.grid import plural_name
from ..models.result import Flag, count_flags
from ..outputs.pictures import as_png, map_figure
from ..outputs.protocol import values_used
from . import checks, plots
from .charts import Chart
from .expected import FitSurvey, snr_of, survey
from .template import render_page

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


def write_report(folder: Path, fitted: FittedMap, rows: dict[str, dict[str, Any]]) -> None:
    """Write ``png/<map>.png`` for every map, and ``report.html``, which needs no other file.

    Parameters
    ----------
    folder : Path
        The folder of results.
    fitted : FittedMap
        The fit.
    rows : dict
        Rows of ``maps.json``; each gets the name of its picture.
    """
    found = survey(fitted)
    text = render_page(
        "pipelines.report",
        "page.html",
        title=f"{MAP_METHODS[fitted.command].title} map",
        subtitle=_subtitle(fitted),
        notes=fitted.notes,
        checks=checks.run_checks(fitted, found),
        maps=_map_rows(fitted),
        slices=_slice_rows(fitted),
        main=next(iter(fitted.result.maps)),
        pictures=_map_pictures(folder, fitted, rows),
        histograms=_svg_of(plots.histograms(fitted)),
        fits=_svg_of(_fit_charts(fitted, found)),
        examples=_svg_of(plots.examples(fitted)),
        quality=_quality_rows(fitted, found),
        flags=_flag_rows(fitted),
        protocol=[*_protocol_rows(fitted), *_scan_rows(fitted)],
        made=_provenance_rows(fitted),
    )
    (folder / "report.html").write_text(text, encoding="utf-8", newline="\n")


def _svg_of(charts: list[Chart]) -> list[str]:
    return [chart.svg() for chart in charts]


def _fit_charts(fitted: FittedMap, found: FitSurvey) -> list[Chart]:
    """Return the charts of signal, residuals and uncertainty."""
    if fitted.command == "cest" and fitted.result.model != "WASABI":
        drawn = [*plots.cest_charts(fitted), plots.uncertainty(fitted, found)]
    else:
        drawn = [
            plots.mean_curve(fitted),
            plots.residuals(fitted, found),
            plots.uncertainty(fitted, found),
        ]
    return [chart for chart in drawn if chart is not None]


def _quality_rows(fitted: FittedMap, found: FitSurvey) -> list[tuple[str, str]]:
    """Return noise, signal-to-noise ratio, and standard errors beside what noise allows."""
    name, main = next(iter(fitted.result.maps.items()))
    sigma = fitted.result.sigma
    rows = [("Noise of one channel", "not known" if sigma is None else f"{sigma:.5g}")]
    snr = snr_of(fitted)
    snr = snr[np.isfinite(snr)]
    if snr.size:
        low, middle, high = np.percentile(snr, [25, 50, 75])
        of = "the noise" if sigma is not None else "the width of the residuals"
        rows.append(
            (f"Largest sample over {of}", f"median {middle:.0f}, quartiles {low:.0f} to {high:.0f}")
        )
    both = np.isfinite(found.found) & np.isfinite(found.bound)
    if both.any():
        a, b = (float(np.median(v[both])) for v in (found.found, found.bound))
        unit = plots.unit_words(main.unit)
        rows += [
            (f"Standard error of {name} as fitted", f"{a:.4g} {unit}, median"),
            ("Expected at this noise (Cramer-Rao)", f"{b:.4g} {unit}, median"),
            ("Ratio", f"{found.ratio:.2f} in {int(both.sum())} voxels, evenly over the map"),
        ]
    if np.isfinite(found.neighbours):
        words = f"{found.neighbours:.2f} between samples one apart"
        rows.append(("Correlation of residuals", words))
    if fitted.result.chi2_red is not None and np.isfinite(fitted.result.chi2_red).any():
        rows.append(("Reduced chi-square", f"median {np.nanmedian(fitted.result.chi2_red):.3g}"))
    if np.isfinite(fitted.result.r2fit).any():
        rows.append(("R-squared of the fit", f"median {np.nanmedian(fitted.result.r2fit):.5f}"))
    return rows


def _scan_rows(fitted: FittedMap) -> list[dict[str, str]]:
    """Return what the scan says of itself, each with its source."""
    scan, origin = fitted.images.scan, fitted.images.origin
    frequency = fitted.images.frequency_mhz
    kind = None if scan.spin_echo is None else "spin echo" if scan.spin_echo else "gradient echo"
    rows = [
        ("kind of echo", kind, "spin_echo"),
        ("field", None if scan.field_t is None else f"{scan.field_t:g} T", "field_t"),
        (
            "working frequency",
            None if frequency is None else f"{frequency:.6g} MHz",
            "frequency_mhz",
        ),
        (
            "saturation pulse",
            None if scan.pulse_ms is None else f"{scan.pulses or 1} x {scan.pulse_ms:g} ms",
            "pulse_ms",
        ),
        ("saturation B1", None if scan.b1_ut is None else f"{scan.b1_ut:g} uT", "b1_ut"),
    ]
    return [
        {"name": name, "values": value, "source": origin.get(key, "")}
        for name, value, key in rows
        if value is not None
    ]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _map_pictures(
    folder: Path, fitted: FittedMap, rows: dict[str, dict[str, Any]]
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
    if flags.any():
        figure = map_figure("flags in the mask", flags, "bits", aspect, (0, float(flags.max())))
        pictures.append({"alt": "Flags", "data": _base64(as_png(figure))})
    return pictures


def _subtitle(fitted: FittedMap) -> str:
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
    spread = f"{74.13 * (high - low) / abs(middle):.1f} %" if abs(middle) > high - low else "-"
    return {
        "valid": str(finite.size),
        "median": f"{middle:.4g}",
        "quartiles": f"{low:.4g} to {high:.4g}",
        "spread": spread,
    }


def _map_rows(fitted: FittedMap) -> list[dict[str, str]]:
    rows = []
    for name, one in fitted.result.maps.items():
        if one.values.ndim > 1:
            continue
        error = "-"
        if one.error is not None and np.isfinite(one.error).any():
            error = f"{np.nanmedian(one.error):.3g}"
        rows.append(
            {
                "name": name,
                "unit": plots.unit_words(one.unit),
                **_statistics(one.values),
                "error": error,
            }
        )
    return rows


def _slice_rows(fitted: FittedMap) -> list[dict[str, str]]:
    volume = fitted.volume(next(iter(fitted.result.maps.values())).values)
    return [{"slice": str(k + 1), **_statistics(plane)} for k, plane in enumerate(volume)]


_FLAG_WORDS = {
    Flag.OUTSIDE_MASK: "outside the mask",
    Flag.LOW_SIGNAL: "signal below five times the noise",
    Flag.NOT_CONVERGED: "the search did not end",
    Flag.AT_BOUND: "a parameter at the end of its range",
    Flag.UNCERTAIN: "large standard error; the value stands",
    Flag.MISFIT: "the model does not fit the samples; the value stands",
    Flag.NOT_FINITE: "samples not finite or cut off",
    Flag.TOO_FEW_SAMPLES: "too few samples",
}


def _flag_rows(fitted: FittedMap) -> list[dict[str, str]]:
    """Return how many voxels of the mask have each flag."""
    inside = fitted.result.flags[fitted.mask.ravel()]
    counts = count_flags(inside)
    return [
        {
            "bit": str(int(flag)),
            "name": words,
            "count": str(counts[flag.name or ""]),
            "share": f"{100 * counts[flag.name or ''] / max(len(inside), 1):.2f} %",
        }
        for flag, words in _FLAG_WORDS.items()
        if flag != Flag.OUTSIDE_MASK
    ]


def _protocol_rows(fitted: FittedMap) -> list[dict[str, str]]:
    rows = []
    for keyword, value in values_used(fitted).items():
        name = _KEYWORDS[keyword]
        factor, unit = (1000.0, " ms") if keyword in _SECONDS else (1.0, "")
        flat = np.unique(np.ravel(value)) if not isinstance(value, list) else np.ravel(value)
        text = ", ".join(f"{float(v) * factor:g}" for v in flat[:400])
        rows.append(
            {
                "name": plural_name(name),
                "values": text + unit,
                "source": fitted.images.origin.get(name, ""),
            }
        )
    return rows


def _provenance_rows(fitted: FittedMap) -> list[tuple[str, str]]:
    result = fitted.result
    sigma = "not known" if result.sigma is None else f"{result.sigma:.5g}"
    rows = [
        ("Mask", fitted.mask_source),
        ("Noise", f"{sigma} ({fitted.sigma_source})"),
        *((name.replace("_", " "), str(value)) for name, value in result.settings.items()),
        *_options(fitted),
        ("Software", f"xnat-pic {version()}"),
        ("Inputs", f"{len(fitted.images.files)} files; checksums in provenance.json"),
    ]
    return [(name, value if len(value) < 2000 else value[:2000] + " ...") for name, value in rows]


def _options(fitted: FittedMap) -> list[tuple[str, str]]:
    """Return the options that were given, files by name and checksum."""
    rows = []
    for name, value in fitted.options.items():
        if value in (None, "", "auto") or value == ():
            continue
        text = value
        if isinstance(value, dict):
            text = f"{value['file']}, SHA-256 {value['sha256']}"
        elif isinstance(value, tuple):
            text = ", ".join(map(str, value))
        rows.append((f"Option {name.replace('_', ' ')}", str(text)))
    return rows
