"""Maps, regions and reports from the images in XNAT.

`load_images` reads what a map needs, `fit_images` fits it, and `fit_t2` and the other models fit
arrays; `make_maps` goes from a folder of images to a folder of results, `average_masks` measures
regions in maps.
"""

from typing import TYPE_CHECKING

from xnat_pic.public import lazy_names

if TYPE_CHECKING:
    from xnat_pic.version import version

    from .fitting.data import FittedMap, MapOptions
    from .fitting.fit import fit_images
    from .fitting.methods import MAP_METHODS
    from .inputs.frames import Images, SeriesRequirement
    from .inputs.load import load_images
    from .maps.run import MapSummary, make_maps
    from .maps.suv import SuvOptions, make_suv
    from .models.adc import fit_adc, fit_trace_adc
    from .models.cest import fit_cest
    from .models.dti import fit_dti
    from .models.epg import fit_t2_epg
    from .models.inversion import fit_t1_ir
    from .models.ivim import fit_ivim
    from .models.result import FitResult, Flag, Map
    from .models.t1 import fit_t1_sr
    from .models.t2 import fit_t2, fit_t2star
    from .models.vfa import fit_t1_vfa
    from .models.wasabi import fit_wasabi
    from .regions.run import MaskAverageSummary, RoiOptions, average_masks

    __version__ = version()

__all__ = [
    "MAP_METHODS",
    "FitResult",
    "FittedMap",
    "Flag",
    "Images",
    "Map",
    "MapOptions",
    "MapSummary",
    "MaskAverageSummary",
    "RoiOptions",
    "SeriesRequirement",
    "SuvOptions",
    "__version__",
    "average_masks",
    "fit_adc",
    "fit_cest",
    "fit_dti",
    "fit_images",
    "fit_ivim",
    "fit_t1_ir",
    "fit_t1_sr",
    "fit_t1_vfa",
    "fit_t2",
    "fit_t2_epg",
    "fit_t2star",
    "fit_trace_adc",
    "fit_wasabi",
    "load_images",
    "make_maps",
    "make_suv",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FitResult": "models.result",
        "FittedMap": "fitting.data",
        "Flag": "models.result",
        "Images": "inputs.frames",
        "MAP_METHODS": "fitting.methods",
        "Map": "models.result",
        "MapOptions": "fitting.data",
        "MapSummary": "maps.run",
        "MaskAverageSummary": "regions.run",
        "RoiOptions": "regions.run",
        "SeriesRequirement": "inputs.frames",
        "SuvOptions": "maps.suv",
        "average_masks": "regions.run",
        "fit_adc": "models.adc",
        "fit_cest": "models.cest",
        "fit_dti": "models.dti",
        "fit_images": "fitting.fit",
        "fit_ivim": "models.ivim",
        "fit_t1_ir": "models.inversion",
        "fit_t1_sr": "models.t1",
        "fit_t1_vfa": "models.vfa",
        "fit_t2": "models.t2",
        "fit_t2_epg": "models.epg",
        "fit_t2star": "models.t2",
        "fit_trace_adc": "models.adc",
        "fit_wasabi": "models.wasabi",
        "load_images": "inputs.load",
        "make_maps": "maps.run",
        "make_suv": "maps.suv",
    },
)
