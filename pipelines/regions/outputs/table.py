"""``statistics.json`` and ``statistics.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from xnat_pic.version import version

from ...outputs.nifti import jsonable
from ..curves import rows
from ..run_result import MapResult, MaskAverageResult, RegionResult
from ..statistics import CORE, WHOLE, RegionStatistics, Statistics
from .cells import cell
from .curves import statistics_rows

_HEAD = ("roi_number", "roi", "roi_uid", "source", "file", "map", "map_file", "quantity", "unit")
_COUNTS = ("voxels", "valid", "nan", "flagged", "volume_mm3")
_VALUES = ("mean", "sd", "median", "q1", "q3", "iqr", "min", "max", "mad", "skewness", "kurtosis")
_PERCENTILES = ("p05", "p10", "p25", "p75", "p90", "p95")
_TAIL = ("image_voxels", "roi_volume_mm3", "rasterizer", "assume_aligned", "software", "note")
COLUMNS = (*_HEAD, "set", "slice", *_COUNTS, *_VALUES, *_PERCENTILES, "bias", *_TAIL)


def as_json(result: MaskAverageResult) -> dict[str, Any]:
    """Return the content of ``statistics.json``."""
    image = result.image
    content = {
        "image": {
            "source": result.image_path.name,
            "title": image.title,
            "shape": list(image.shape),
            "voxel_mm3": image.voxel_mm3,
            "series": sorted(image.series_uids),
            "frame_of_reference": image.frame_of_reference_uid,
        },
        "collection": {
            "source": result.regions.path.name,
            "name": result.regions.name,
            "software": " ".join(result.regions.software),
        },
        "settings": {
            "rasterizer": result.rasterizer,
            "assume_aligned": result.assume_aligned,
            "keep_flagged": result.keep_flagged,
            "whole": WHOLE,
            "core": CORE,
        },
        "software": f"xnat-pic {version()}",
        "warnings": list(result.warnings),
        "problems": [
            {"source": one.path.name, "text": one.sentence} for one in result.regions.problems
        ],
        "rois": [_roi(one) for one in result.rois],
        "curves": rows(result.curves),
    }
    return dict(jsonable(content))


def _roi(one: RegionResult) -> dict[str, Any]:
    return {
        "name": one.region.name,
        "number": one.number,
        "uid": one.region.uid,
        "source": one.region.source,
        "file": one.region.path.name,
        "usable": not one.unusable,
        "volume_mm3": one.volume_mm3,
        "image_voxels": one.image_voxels,
        "contour_volume_mm3": one.contour_mm3,
        "viewer_volume_mm3": one.drawn_mm3,
        "warnings": [*([one.unusable] if one.unusable else []), *one.warnings],
        "maps": [_map(row) for row in one.maps],
    }


def _map(row: MapResult) -> dict[str, Any]:
    content = {
        "map": row.map.name,
        "file": row.map.source,
        **_quantity(row, row.own),
        "reciprocal": None,
        "weighted": {
            "mean": row.own.weighted.mean,
            "sd": row.own.weighted.sd,
            "effective_voxels": row.own.weighted.effective_voxels,
            "volume_mm3": row.own.weighted.volume_mm3,
        },
        "edge_fraction": _edge(row),
        "covered": row.covered,
        "same_grid": row.same_grid,
        "histogram": _histogram(row.own),
        "warnings": [*([row.unusable] if row.unusable else []), *row.warnings],
    }
    if row.reciprocal is not None:
        content["reciprocal"] = {
            "map": row.reciprocal.name,
            **_quantity(row, row.reciprocal),
            "histogram": _histogram(row.reciprocal),
        }
    return content


def _edge(row: MapResult) -> float | None:
    """Return which part of the whole region is not core."""
    whole = row.own.whole.voxels
    return 1 - row.own.core.voxels / whole if whole else None


def _quantity(row: MapResult, found: RegionStatistics) -> dict[str, Any]:
    positions = row.map.affine[:3, 3] + row.map.affine[:3, 2] * _column(
        [s.index for s in found.slices]
    )
    return {
        "unit": found.unit,
        "whole": found.whole.as_json(),
        "core": found.core.as_json(),
        "slices": [
            {
                "slice": one.index + 1,
                "position_mm": [round(float(v), 4) for v in place],
                "area_mm2": one.area_mm2,
                **one.whole.as_json(),
            }
            for one, place in zip(found.slices, positions, strict=True)
        ],
    }


def _column(numbers: list[int]) -> Any:
    import numpy as np

    return np.array(numbers, dtype=np.float64)[:, None]


def _histogram(found: RegionStatistics) -> dict[str, Any]:
    one = found.histogram
    return {
        "edges": list(one.edges),
        "counts": list(one.counts),
        "under": one.under,
        "over": one.over,
    }


def as_csv(result: MaskAverageResult) -> str:
    """Return ``statistics.csv``: one row for each region, map, quantity and set of voxels.

    Text that a spreadsheet would run as a formula begins with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(result):
        writer.writerow({key: cell(value) for key, value in row.items()})
    return out.getvalue()


def _rows(result: MaskAverageResult) -> Iterator[dict[str, Any]]:
    for roi in result.rois:
        begin = {
            "roi_number": roi.number,
            "roi": roi.region.name,
            "roi_uid": roi.region.uid,
            "source": roi.region.source,
            "file": roi.region.path.name,
        }
        end = {
            "image_voxels": roi.image_voxels,
            "roi_volume_mm3": roi.volume_mm3,
            "rasterizer": result.rasterizer,
            "assume_aligned": str(result.assume_aligned).lower(),
            "software": f"xnat-pic {version()}",
        }
        if not roi.maps:
            yield {**begin, "set": "whole", "voxels": 0, **end, "note": roi.unusable}
        for row in roi.maps:
            lost = roi.warnings if roi.is_partial else ()
            note = " ".join([row.unusable, *row.warnings, *lost]).strip()
            for found in row.quantities:
                middle = {
                    "map": row.map.name,
                    "map_file": row.map.source,
                    "quantity": found.name,
                    "unit": found.unit,
                }
                for name, index, values in _sets(found):
                    counted = {"set": name, "slice": index, **values.as_json()}
                    yield {**begin, **middle, **counted, **end, "note": note}
        for curve in result.curves:
            if curve.number == roi.number:
                for along in statistics_rows(curve):
                    yield {**begin, **along, **end}


def _sets(found: RegionStatistics) -> Iterator[tuple[str, int | str, Statistics]]:
    yield "whole", "", found.whole
    yield "core", "", found.core
    for one in found.slices:
        yield "slice", one.index + 1, one.whole
