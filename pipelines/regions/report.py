"""The page a person looks at before believing the number of a region."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnat_pic.version import version

from ..report.template import render_page
from .outputs.curves import charts, summary
from .statistics import CORE, WHOLE, Histogram, RegionStatistics, Statistics

if TYPE_CHECKING:
    from markupsafe import Markup

    from .run_result import MapResult, MaskAverageResult, RegionResult

_BAR, _HEIGHT = 5, 60
_LETTERS = 2000
_SMALL = 1e-3


def write_report(
    folder: Path, result: MaskAverageResult, pictures: Mapping[int, Mapping[int, bytes]]
) -> None:
    """Write ``report.html``, which needs no other file.

    Parameters
    ----------
    folder : Path
        There.
    result : MaskAverageResult
        What was found.
    pictures : mapping of int to mapping of int to bytes
        PNG by number of the region and slice of the image.
    """
    from markupsafe import Markup

    text = render_page(
        "pipelines.regions",
        "report.html",
        title=f"ROI statistics: {result.regions.name or result.regions.path.name}",
        subtitle=_subtitle(result),
        notes=[*result.warnings, *(one.sentence for one in result.regions.problems)],
        rows=list(_rows(result)),
        curves=[Markup(one) for one in charts(result.curves)],
        along=summary(result.curves),
        rois=[_roi(roi, pictures.get(roi.number, {})) for roi in result.rois],
        pictured=any(pictures.values()),
        made=_made(result),
    )
    (folder / "report.html").write_text(text, encoding="utf-8", newline="\n")


def _subtitle(result: MaskAverageResult) -> str:
    slices, rows, columns = result.image.shape
    maps = ", ".join(one.name for one in result.maps)
    return (
        f"{result.usable} of {len(result.rois)} ROIs measured in {maps}; drawn on "
        f"{result.image.title or result.image_path.name} ({columns} x {rows} x {slices} voxels)."
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "-"


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}" if np.isfinite(low) else "-"


def _title(found: RegionStatistics) -> str:
    return f"{found.name} ({found.unit})" if found.unit else found.name


def _rows(result: MaskAverageResult) -> Iterator[dict[str, Any]]:
    for roi in result.rois:
        name = f"{roi.number} {roi.region.name}"
        if not roi.maps:
            yield {"roi": name, "first": True, "bad": roi.unusable}
        first = True
        for row in roi.maps:
            if row.unusable:
                yield {"roi": name, "first": first, "bad": row.unusable}
                first = False
                continue
            for found in row.quantities:
                yield {"roi": name, "first": first, "bad": "", **_cells(found)}
                first = False


def _cells(found: RegionStatistics) -> dict[str, str]:
    return {
        "quantity": _title(found),
        **_values(found.whole),
        "core": f"{_number(found.core.mean)} ({found.core.valid})",
    }


def _values(values: Statistics) -> dict[str, str]:
    return {
        "voxels": str(values.voxels),
        "left_out": str(values.nan + values.flagged),
        "mean": _number(values.mean),
        "sd": _number(values.sd),
        "median": _number(values.median),
        "quartiles": _span(values.q1, values.q3),
        "range": _span(values.minimum, values.maximum),
    }


def _roi(roi: RegionResult, pictures: Mapping[int, bytes]) -> dict[str, Any]:
    best = _largest(roi) if pictures else -1
    facts = [
        f"{roi.image_voxels} voxels of the image, {_number(roi.volume_mm3)} mm³.",
        f"From {roi.region.source} {roi.region.path.name}.",
    ]
    if roi.contour_mm3 is not None:
        facts.insert(1, f"The contours themselves hold {_number(roi.contour_mm3)} mm³.")
    if roi.drawn_mm3 is not None and not _near(roi.drawn_mm3, roi.contour_mm3):
        facts.insert(-1, f"The viewer, which adds holes, shows {_number(roi.drawn_mm3)} mm³.")
    notes = [*roi.warnings, *(note for row in roi.maps for note in row.warnings)]
    return {
        "number": roi.number,
        "name": roi.region.name,
        "colour": "" if roi.region.colour is None else "rgb({}, {}, {})".format(*roi.region.colour),
        "facts": " ".join(facts),
        "bad": roi.unusable,
        "notes": list(dict.fromkeys(notes)),
        "picture": _base64(pictures[best]) if best in pictures else "",
        "pictures": [
            {"slice": index + 1, "data": _base64(data)}
            for index, data in sorted(pictures.items())
            if index != best
        ],
        "maps": [one for row in roi.maps if not row.unusable for one in _quantities(row)],
    }


def _near(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) <= _SMALL * max(one, other)


def _largest(roi: RegionResult) -> int:
    """Return the slice of the image with most voxels."""
    size = roi.drawn.shape[1] * roi.drawn.shape[2]
    return int(np.argmax(np.bincount(roi.drawn.index // size)))


def _quantities(row: MapResult) -> Iterator[dict[str, Any]]:
    for found in row.quantities:
        yield {
            "name": _title(found),
            "histogram": _bars(found.histogram, _title(found)),
            "slices": [
                {"slice": one.index + 1, "area": _number(one.area_mm2), **_values(one.whole)}
                for one in found.slices
            ],
        }


def _bars(found: Histogram, title: str) -> Markup:
    """Return a histogram as a drawing in the page."""
    from markupsafe import Markup

    top = max(*found.counts, 1)
    wide = _BAR * len(found.counts)
    bars = Markup("").join(
        Markup('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
            n * _BAR, _HEIGHT - count / top * _HEIGHT, _BAR - 1, count / top * _HEIGHT
        )
        for n, count in enumerate(found.counts)
        if count
    )
    beyond = f", {found.under} below and {found.over} above" if found.under + found.over else ""
    return Markup(
        '<svg width="{}" height="{}" role="img" aria-label="Histogram of {}">'
        '<g fill="#35618f">{}</g><line x1="0" y1="{}" x2="{}" y2="{}" stroke="#666"/>'
        '<text x="0" y="{}" font-size="11">{}</text>'
        '<text x="{}" y="{}" font-size="11" text-anchor="end">{}{}</text></svg>'
    ).format(
        wide, _HEIGHT + 18, title, bars, _HEIGHT, wide, _HEIGHT,
        _HEIGHT + 14, f"{found.edges[0]:.4g}",
        wide, _HEIGHT + 14, f"{found.edges[-1]:.4g}", beyond,
    )  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _made(result: MaskAverageResult) -> list[tuple[str, str]]:
    rules = {
        "ours": "a voxel of the image is inside where its centre is; even-odd over all contours "
        "of a plane, half-open edges",
        "dcmrtstruct2nii": "dcmrtstruct2nii",
    }
    rows = [
        ("Image", f"{result.image_path.name}: {result.image.title}".rstrip(": ")),
        ("ROI collection", ", ".join(path.name for path in result.regions.files)),
        ("Written by", " ".join(result.regions.software) or "not said"),
        *(("Map", f"{one.name} from {one.source}") for one in result.maps),
        ("Filling", rules.get(result.rasterizer, result.rasterizer)),
        ("Onto the map", f"share of each voxel inside; whole from {WHOLE:g}, core from {CORE:g}"),
        ("Left out", "voxels without a value" + (" or with a flag" if _flags(result) else "")),
        ("Software", f"xnat-pic {version()}"),
        ("Inputs", "checksums in provenance.json"),
    ]
    return [(name, value if len(value) < _LETTERS else value[:_LETTERS]) for name, value in rows]


def _flags(result: MaskAverageResult) -> bool:
    return not result.keep_flagged and any(one.flags is not None for one in result.maps)
