"""Write Inveon images with their headers, from the published facts about the format.

Nothing here comes from the product: keys, types and layout are those of docs/vendors/inveon.md.
"""

import math
from pathlib import Path

import numpy as np

TYPES = {1: "u1", 2: "<i2", 3: "<i4", 4: "<f4", 5: ">f4", 6: ">i2", 7: ">i4"}
F18_S = 6586.2
SHAPE = (4, 5, 6)  # z, y, x

COMMON = {
    "version": "001.910",
    "manufacturer": "Siemens",
    "model": "5001",
    "modality": "0",
    "institution": "Institut für Bildgebung",
    "study": "tumour uptake",
    "study_identifier": "S7",
    "file_name": r"D:\Data of the day\m1_scan.pet.img",
    "file_type": "5",
    "acquisition_mode": "2",
    "number_of_bed_positions": "1",
    "number_of_dimensions": "3",
    "pixel_size": "0",
    "pixel_size_x": "0.776",
    "pixel_size_y": "0.777",
    "pixel_size_z": "0.796",
    "scan_time": "Thu Dec  4 11:32:21 2023",
    "gmt_scan_time": "Thu Dec  4 10:32:21 2023",
    "subject_identifier": "Maus 1",
    "subject_genus": "Mus musculus",
    "subject_weight_units": "1",
    "subject_weight": "25.5",
    "subject_sex": "Female",
    "subject_orientation": "3",
}
PET = COMMON | {
    "isotope": "F-18",
    "isotope_half_life": str(F18_S),
    "isotope_branching_fraction": "0.968",
    "calibration_units": "1",
    "calibration_factor": "2.5",
    "decay_correction_applied": "1",
    "attenuation_applied": "8",
    "scatter_correction": "1",
    "deadtime_correction_applied": "1",
    "normalization_applied": "4",
    "recon_algorithm": "3",
    "lld": "350",
    "uld": "650",
    "injected_compound": "FDG",
    "dose_units": "1",
    "dose": "0.2",
    "injection_time": "Thu Dec  4 10:32:21 2023",
}
CT = COMMON | {
    "modality": "1",
    "file_name": r"D:\m1_scan.ct.img",
    "ct_xray_voltage": "80",
    "ct_anode_current": "500",
    "ct_exposure_time": "210",
    "ct_source_to_detector": "403.2",
    "ct_source_to_crot": "34.4",
    "rotation_direction": "1",
    "ct_aluminum_filter_thickness": "0.5",
    "recon_algorithm": "9",
    "x_filter": "6 0.5",
}
SPECT = PET | {
    "modality": "2",
    "file_name": r"D:\m1_scan.spect.img",
    "isotope": "Tc-99m",
    "isotope_half_life": "21624",
    "calibration_units": "0",
    "injected_compound": "MDP",
    "rotating_stage_start_position": "0",
    "rotating_stage_stop_position": "360",
    "number_of_projections": "60",
    "rotation_direction": "0",
    "lld": "126",
    "uld": "154",
}
# Durations of a dynamic study of 28 frames, s.
DYNAMIC_28 = [5.0] * 8 + [10.0] * 6 + [30.0] * 5 + [60.0] * 4 + [300.0] * 5


def decay_factor(start: float, duration: float, half_life: float = F18_S) -> float:
    """Integrate 2 ** (-t / half-life) over a frame, and return what brings its mean back to 1."""
    times = start + (np.arange(20_000) + 0.5) * duration / 20_000
    return float(1.0 / np.mean(2.0 ** (-times / half_life))) if duration else 1.0


def frame(start=0.0, duration=600.0, **more) -> dict[str, str]:
    """Return one frame's keys; those with the value None are left out."""
    keys = {
        "event_type": "4",
        "gate": "0",
        "bed": "0",
        "frame_start": repr(start),
        "frame_duration": repr(duration),
        "scale_factor": "1.5",
        "deadtime_correction": "1.02",
        "decay_correction": repr(decay_factor(start, duration)),
    }
    return keys | {key: value if value is None else str(value) for key, value in more.items()}


def dynamic_frames(durations: list[float], **more) -> list[dict[str, str]]:
    starts = np.cumsum([0.0, *durations])[:-1]
    return [
        frame(float(start), duration, scale_factor=0.5 + 0.25 * number, **more)
        for number, (start, duration) in enumerate(zip(starts, durations, strict=True))
    ]


def ramp(data_type: int, frames: int = 1, shape=SHAPE) -> np.ndarray:
    """Return voxels that are all different within a frame, negative ones among them."""
    count = math.prod(shape)
    values = np.arange(count * frames, dtype=np.float64).reshape(frames, *shape)
    if data_type != 1:
        values = values * 3 - 40
    if data_type in (3, 7):
        values = values * 1000.0
    if data_type in (4, 5):
        values = values * 0.37
    return values.astype(TYPES[data_type])


def air_and_water(shape=(6, 12, 12)) -> np.ndarray:
    """Return a CT image in Hounsfield units: air around a block of water with a bone in it."""
    values = np.full((1, *shape), -1000, dtype="<i2")
    values[:, 1:-1, 3:9, 3:9] = 0
    values[:, 2, 4, 5] = 1200
    return values


def header_text(keys, frames, *, newline="\n", end=True) -> str:
    lines = ["#", "# Header file for data file demo.img", f"#\twith {len(frames)} frames", "#"]
    lines += [f"{key} {value}".rstrip() for key, value in keys.items() if value is not None]
    lines.append("end_of_header")
    for number, keys_of_frame in enumerate(frames):
        lines.append(f"frame {number}")
        lines += [f"{k} {v}" for k, v in keys_of_frame.items() if v is not None]
        lines.append("end_of_header")
    return newline.join(lines[: None if end else -1]) + newline


def write_image(
    path: Path,
    base=PET,
    voxels=None,
    frames=None,
    *,
    data_type=4,
    pointers=None,
    newline="\n",
    **keys,
) -> Path:
    """Write `path` and its header; `keys` replace those of `base`, None takes one away.

    Parameters
    ----------
    voxels : ndarray, shape (frames, z, y, x)
        Stored values.
    pointers : list of str, optional
        data_file_pointer of each frame, one after the other by default.
    """
    voxels = ramp(data_type, len(frames or [0])) if voxels is None else voxels
    frames = frames or [frame()]
    size = voxels[0].astype(TYPES[data_type]).nbytes
    pointers = pointers or [f"0 {number * size}" for number in range(len(frames))]
    z, y, x = voxels.shape[1:]
    sizes = {"x_dimension": x, "y_dimension": y, "z_dimension": z}
    counted = {"data_type": data_type, "total_frames": len(frames), **sizes}
    blocks = [
        ({"data_file_pointer": pointer} | one)
        for pointer, one in zip(pointers, frames, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(voxels.astype(TYPES[data_type]).tobytes())
    text = header_text(base | counted | keys, blocks, newline=newline)
    path.with_name(path.name + ".hdr").write_bytes(text.encode("latin-1"))
    return path
