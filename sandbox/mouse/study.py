"""Write one study: parameter files and pixels of every scan, and its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .anatomy import Animal
from .dialects import Dialect
from .identity import Identity
from .jcamp_write import Parameters, Symbol, Text, numbers, render_file, symbols
from .method_files import acqp_parameters, method_parameters, trap_acqp
from .protocols import Scan, load_table
from .simulate import (
    GAIN,
    NoiseSource,
    Scene,
    common_slope,
    frames,
    make_scene,
    quantise,
    t2_analysis,
)
from .truth import scan_truth, write_scan_truth, write_study_truth
from .visu import FrameStats, analysis_visu, image_visu, scan_visu, spectrum_visu

_SPECTRUM_POINTS = 2048
_SPECTRUM_PEAKS_PPM = ((4.70, 1.0, 0.03), (3.03, 0.5, 0.02), (2.01, 0.7, 0.02), (3.20, 0.4, 0.02))


@dataclass(frozen=True)
class StudyJob:
    """Everything needed to write one study.

    Attributes
    ----------
    noise : float
        Standard deviation of one channel, relative to the signal of pure water.
    pooled_noise : bool
        Take noise from a pool, as very large studies do.
    """

    who: Identity
    dialect: Dialect
    animal: Animal
    scans: tuple[Scan, ...]
    noise: float
    seed: int
    pooled_noise: bool
    traps: bool


def write_study(folder: Path, truth: Path, job: StudyJob) -> None:
    """Write one study into `folder` and its truth into `truth`; both are made here."""
    folder.mkdir(parents=True)
    truth.mkdir(parents=True)
    who, dialect = job.who, job.dialect
    _write(folder / "subject", job, subject_parameters(dialect, who), 1)
    entries = []
    for scan in job.scans:
        scene = make_scene(job.animal, scan)
        _write_scan(folder / str(scan.expno), job, scan, scene)
        files = write_scan_truth(truth, job.animal, scan, scene)
        entries.append(scan_truth(job.animal, scan, scene, files))
    if job.traps:
        _write_traps(folder, job)
    write_study_truth(truth, who, job.animal, entries, dialect.version, job.noise)


def _write_scan(folder: Path, job: StudyJob, scan: Scan, scene: Scene) -> None:
    dialect, who = job.dialect, job.who
    reco = folder / "pdata" / "1"
    reco.mkdir(parents=True)
    stats = _write_pixels(reco / "2dseq", job, scan, scene)
    _write(folder / "method", job, method_parameters(dialect, scan), scan.expno)
    _write(folder / "acqp", job, acqp_parameters(dialect, who, scan), scan.expno)
    if dialect.experiment_number:
        _write(folder / "visu_pars", job, scan_visu(dialect, who, scan), scan.expno)
    _write(reco / "visu_pars", job, image_visu(dialect, who, scan, stats), scan.expno)
    _write(reco / "reco", job, reco_parameters(dialect, who, scan, stats.slope), scan.expno)
    _write(reco / "id", job, id_parameters(dialect, who, scan.expno, 1), scan.expno)
    if scan.loop == "echo":
        _write_analysis(folder / "pdata" / "2", job, scan, scene)


def _write_pixels(path: Path, job: StudyJob, scan: Scan, scene: Scene) -> FrameStats:
    """Write the frames one by one, so that memory does not grow with the study."""
    plan = job.who.plan
    sigma = job.noise * GAIN
    rng = np.random.default_rng([job.seed, plan.animal, 1 + plan.time_index, scan.expno])
    noise = NoiseSource(rng, sigma, job.pooled_noise)
    fixed = None if scan.frame_slopes else common_slope(scene, sigma)
    stats = FrameStats([], [], [])
    with path.open("wb") as stream:
        for image in frames(scene, scan, noise):
            stored, slope = quantise(image, fixed)
            stream.write(stored.tobytes())
            stats.minimum.append(float(stored.min()))
            stats.maximum.append(float(stored.max()))
            stats.slope.append(slope)
    return stats


def _write_analysis(folder: Path, job: StudyJob, scan: Scan, scene: Scene) -> None:
    """Write the derived T2 maps: 32-bit floats, slope 1, no ``reco`` file."""
    folder.mkdir(parents=True)
    dialect, who = job.dialect, job.who
    images = [
        image.astype("<f4")
        for maps in t2_analysis(scene, job.animal, scan, job.noise * GAIN)
        for image in maps
    ]
    with (folder / "2dseq").open("wb") as stream:
        for image in images:
            stream.write(image.tobytes())
    stats = FrameStats(
        [float(image.min()) for image in images],
        [float(image.max()) for image in images],
        [1.0] * len(images),
    )
    _write(folder / "visu_pars", job, analysis_visu(dialect, who, scan, stats), scan.expno)
    _write(folder / "id", job, id_parameters(dialect, who, scan.expno, 2), scan.expno)


def _write_traps(folder: Path, job: StudyJob) -> None:
    """Write the scans that a converter has to skip, in words, without stopping."""
    for row in load_table()["trap"]:
        reco = folder / str(row["expno"]) / "pdata" / "1"
        reco.mkdir(parents=True)
        method: Parameters = [("Method", job.dialect.enum(job.dialect.method_name(row["method"])))]
        _write(reco.parents[1] / "method", job, method, row["expno"])
        acqp = trap_acqp(job.dialect, job.who, row["expno"], row["name"], row["method"])
        _write(reco.parents[1] / "acqp", job, acqp, row["expno"])
        if row["kind"] == "spectroscopy":
            _write_spectrum(reco, job, row["expno"], row["name"], row["method"])
        else:
            (reco / "2dseq").touch()
            (reco.parents[1] / job.dialect.raw_file).touch()


def _write_spectrum(reco: Path, job: StudyJob, expno: int, name: str, method: str) -> None:
    ppm = np.linspace(9.7, -0.3, _SPECTRUM_POINTS)
    lines = [a * w**2 / (w**2 + (ppm - c) ** 2) for c, a, w in _SPECTRUM_PEAKS_PPM]
    stored = np.rint(1e6 * np.sum(lines, axis=0)).astype("<i4")
    (reco / "2dseq").write_bytes(stored.tobytes())
    stats = FrameStats([float(stored.min())], [float(stored.max())], [0.001])
    parameters = spectrum_visu(job.dialect, job.who, expno, name, method, stats, len(stored))
    _write(reco / "visu_pars", job, parameters, expno)
    _write(reco / "id", job, id_parameters(job.dialect, job.who, expno, 1), expno)


def _write(path: Path, job: StudyJob, parameters: Parameters, expno: int) -> None:
    study = job.who.folder(job.dialect)
    below = path.parts[::-1].index(study)
    shown = "/data/nmr/" + "/".join(path.parts[-1 - below :])
    envelope = job.dialect.envelope(shown, job.who.scan_time(expno))
    text = render_file(envelope, parameters)
    path.write_text(text, encoding="utf-8", newline="\n")


def subject_parameters(dialect: Dialect, who: Identity) -> Parameters:
    """Describe animal and study as the ``subject`` file does."""
    plan = who.plan
    gender = dialect.subject_keys == "gender"
    kind = "Quadruped" if dialect.subject_type else "Human"
    parameters: Parameters = [
        ("SUBJECT_version_nr", 1),
        ("SUBJECT_id", Text(plan.subject, 60)),
        ("SUBJECT_instance_uid", Text(who.subject_uid())),
        ("SUBJECT_name_string", Text(plan.subject, 64)),
        ("SUBJECT_name", (plan.subject, "")),
        ("SUBJECT_dbirth", Text(f"{who.birth:%Y%m%d}", 12)),
        ("SUBJECT_type", Symbol(kind)),
    ]
    if gender:
        parameters += [
            ("SUBJECT_gender", Symbol("FEMALE")),
            ("SUBJECT_study_instrument_position", Symbol("Head_Prone")),
            ("SUBJECT_study_weight", who.weight_kg),
            ("SUBJECT_study_operator", Text("", 64)),
        ]
    else:
        parameters += [
            ("SUBJECT_sex", Text("female", 8)),
            ("SUBJECT_sex_animal", Symbol("FEMALE")),
            ("SUBJECT_entry", Symbol("SUBJ_ENTRY_HeadFirst")),
            ("SUBJECT_position", Symbol("SUBJ_POS_Prone")),
            ("SUBJECT_weight", who.weight_kg),
            ("SUBJECT_referral", Text("", 64)),
        ]
    return [
        *parameters,
        ("SUBJECT_remarks", Text("Digital mouse: a phantom, not an animal", 2048)),
        ("SUBJECT_study_name", Text(f"{plan.subject}_{plan.timepoint}", 64)),
        ("SUBJECT_study_nr", who.number),
        ("SUBJECT_study_instance_uid", Text(who.study_uid())),
        ("SUBJECT_date", dialect.date(who.start, 24)),
        ("SUBJECT_abs_date", dialect.epoch(who.start)),
        ("SUBJECT_comment", Text("", 2048)),
    ]


def reco_parameters(
    dialect: Dialect, who: Identity, scan: Scan, slopes: Sequence[float]
) -> Parameters:
    """Describe the primary reconstruction; ``RECO_map_slope`` is one over the Visu slope."""
    pack = scan.packs[0]
    fov_cm = [n * d / 10 for n, d in zip(pack.size, pack.spacing_mm, strict=True)]
    read_axes = [p.read_axis for p in scan.packs for _ in p.centres_mm]
    transposition = read_axes * (len(slopes) // len(read_axes))
    return [
        ("RECO_mode", Symbol("FT_MODE")),
        ("RECO_inp_size", numbers([pack.size[pack.read_axis], pack.size[1 - pack.read_axis]])),
        ("RECO_ft_size", numbers(pack.size)),
        ("RECO_fov", numbers(fov_cm)),
        ("RECO_size", numbers(pack.size)),
        ("RECO_ft_mode", symbols(["COMPLEX_FT", "COMPLEX_FT"])),
        ("RECO_transposition", numbers(transposition)),
        ("RECO_image_type", Symbol("MAGNITUDE_IMAGE")),
        ("RECO_wordtype", Symbol("_16BIT_SGN_INT")),
        ("RECO_byte_order", Symbol("littleEndian")),
        ("RECO_map_mode", Symbol("ABSOLUTE_MAPPING")),
        ("RECO_map_offset", numbers([0] * len(slopes))),
        ("RECO_map_slope", numbers([1 / slope for slope in slopes])),
        ("RECO_time", dialect.date(who.scan_time(scan.expno), 24)),
        ("RECO_base_image_uid", Text(who.reco_uid(scan.expno, 1))),
    ]


def id_parameters(dialect: Dialect, who: Identity, expno: int, procno: int) -> Parameters:
    """Name the data set of one reconstruction."""
    key = who.uid("dataset", who.study_uid(), expno, procno)
    parameters: Parameters = [("DATASET_KEY", Text(key))]
    if dialect.animal_transport:
        parameters.append(("DATASET_Modality", Symbol("MR_Modality")))
    return parameters
