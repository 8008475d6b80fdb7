"""Frame groups: order of loops, dependent parameters, rules of number."""

import math

import numpy as np
import pytest
from builder import Word, make_reco, parameter_file, read_one
from hypothesis import given
from hypothesis import strategies as st

from mri2dicom.readers.paravision.frames import per_frame, per_frame_items, read_frame_groups
from mri2dicom.readers.paravision.jcamp import parse
from mri2dicom.series.model import Loop, SeriesKind
from xnat_pic.errors import CorruptDataError


def visu_of(groups, depends=(), **parameters):
    """Give a file with loops (id, length, comment, first dependent, number of dependents)."""
    values = {"VisuFGOrderDesc": [(length, *rest) for rest_, length, *more in groups
                                  for rest in [(rest_, *more)]]} if groups else {}  # fmt: skip
    if depends:
        values["VisuGroupDepVals"] = list(depends)
    return parse(parameter_file(values | parameters).encode())


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_the_first_group_varies_fastest(lengths):
    visu = visu_of([(f"G{k}", length, "", 0, 0) for k, length in enumerate(lengths)])
    groups = read_frame_groups(visu, math.prod(lengths))
    indices = [groups.index(group) for group in groups.groups]
    for frame in range(groups.frames):
        rest = frame
        for group, index in zip(groups.groups, indices, strict=True):
            rest, step = divmod(rest, group.length)
            assert index[frame] == step


@given(
    st.lists(st.integers(2, 5), min_size=1, max_size=3),
    st.data(),
)
def test_dependent_values_are_found_at_start_plus_step(lengths, data):
    names = [f"G{k}" for k in range(len(lengths))]
    owner = data.draw(st.sampled_from(range(len(lengths))))
    start = data.draw(st.integers(0, 3))
    groups, first = [], 0
    for k, (name, length) in enumerate(zip(names, lengths, strict=True)):
        groups.append((name, length, "", first, int(k == owner)))
        first += int(k == owner)
    values = [float(v) for v in range(start + lengths[owner])]
    visu = visu_of(groups, [("Dependent", start)], Dependent=values)
    found = read_frame_groups(visu, math.prod(lengths))
    table = per_frame(visu, found, "Dependent")
    steps = found.index(found.groups[owner])
    assert table[:, 0].tolist() == [values[start + k] for k in steps]


def test_two_groups_may_share_a_parameter():
    groups = [("FG_A", 2, "", 0, 1), ("FG_B", 3, "", 1, 1)]
    visu = visu_of(groups, [("Shared", 0), ("Shared", 2)], Shared=[1.0, 2.0, 10.0, 20.0, 30.0])
    found = read_frame_groups(visu, 6)
    assert found.owner("Shared") == (found.groups[0], 0)
    assert per_frame(visu, found, "Shared")[:, 0].tolist() == [1, 2] * 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], [7] * 6),
        ([1.0, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        ([1.0, 2], [1, 2] * 3),
        ([1.0, 2, 3], [1, 1, 2, 2, 3, 3]),
        ([1.0, 2, 3, 4], None),
        ([], None),
    ],
)
def test_values_of_no_group_follow_their_number(values, expected):
    visu = visu_of([("FG_A", 2, "", 0, 0), ("FG_B", 3, "", 0, 0)], Free=values)
    table = per_frame(visu, read_frame_groups(visu, 6), "Free")
    assert expected is None if table is None else table[:, 0].tolist() == expected


def test_one_value_each_wins_over_a_declared_group_it_does_not_fill():
    visu = visu_of([("FG_A", 2, "", 0, 1), ("FG_B", 3, "", 0, 0)], [("P", 0)], P=list(range(6)))
    assert per_frame_items(visu, read_frame_groups(visu, 6), "P") == list(range(6))


def test_two_groups_of_one_length_are_no_guess():
    groups = [("FG_A", 3, "", 0, 0), ("FG_SLICE", 3, "", 0, 0)]
    visu = visu_of(groups, Free=[1.0, 2, 3], VisuCoreFrameThickness=[1.0, 2, 3])
    found = read_frame_groups(visu, 9)
    assert per_frame(visu, found, "Free") is None
    thickness = per_frame(visu, found, "VisuCoreFrameThickness")
    assert thickness[:, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_groups_of_one_step_and_empty_dependents_do_not_matter():
    groups = [("FG_ECHO", 1, "", 0, 1), ("FG_SLICE", 3, "", 1, 1), ("FG_REPETITION", 4, "", 2, 0)]
    visu = visu_of(groups, [("", 0), ("P", 0)], P=[1.0, 2, 3])
    found = read_frame_groups(visu, 12)
    assert [group.length for group in found.groups] == [1, 3, 4]
    assert per_frame(visu, found, "P")[:, 0].tolist() == [1, 2, 3] * 4


@pytest.mark.parametrize("length", [0, -2])
def test_a_loop_without_steps_is_damage(length):
    with pytest.raises(CorruptDataError, match="no steps"):
        read_frame_groups(visu_of([("FG_A", length, "", 0, 0)]), 1)


def test_loops_that_do_not_multiply_up_are_damage():
    with pytest.raises(CorruptDataError, match="make 6 frames and the file has 8"):
        read_frame_groups(visu_of([("FG_A", 2, "", 0, 0), ("FG_B", 3, "", 0, 0)]), 8)


def test_frames_without_declared_loop_are_a_loop_of_their_own():
    assert read_frame_groups(visu_of([]), 1).groups == ()
    (group,) = read_frame_groups(visu_of([]), 5).groups
    assert (group.identifier, group.length) == ("FG_UNKNOWN", 5)


@pytest.mark.parametrize(
    ("identifier", "loop"),
    [
        ("FG_SLICE", Loop.SLICE),
        ("FG_ECHO", Loop.ECHO),
        ("FG_DIFFUSION", Loop.DIFFUSION),
        ("FG_CYCLE", Loop.TIME),
        ("FG_REPETITION", Loop.TIME),
        ("FG_TIME_COURSE", Loop.TIME),
        ("FG_CARDIAC_MOVIE", Loop.CARDIAC),
        ("FG_RESP_MOVIE", Loop.RESPIRATORY),
        ("FG_MOVIE", Loop.TIME),
        ("FG_IRMODE", Loop.INVERSION),
        ("FG_COIL", Loop.COIL),
        ("FG_COMPLEX", Loop.COMPLEX),
        ("FG_ISA", Loop.MAP),
        ("FG_DTI", Loop.MAP),
        ("FG_FLOW", Loop.OTHER),
        ("FG_EVOLUTION", Loop.OTHER),
        ("FG_FROM_TOMORROW", Loop.OTHER),
    ],
)
def test_what_each_loop_means(tmp_path, identifier, loop):
    make_reco(tmp_path / "s", groups=[(identifier, 3)])
    (dimension,) = read_one(tmp_path / "s").dimensions
    assert (dimension.loop, dimension.source, dimension.length) == (loop, identifier, 3)


def test_a_movie_with_a_trigger_is_cardiac(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_MOVIE", 3)],
        visu={
            "VisuCardiacSynchUsed": Word("Yes"),
            "VisuCardiacMovieFrameTime": [(5.0, 5.1), (25.0, 25.2), (45.0, 45.1)],
        },
    )
    series = read_one(tmp_path / "s")
    assert series.kind is SeriesKind.CINE
    assert series.plane_attributes["NominalCardiacTriggerDelayTime"] == [5, 25, 45]


@pytest.mark.parametrize(
    ("dependent", "values", "loop", "kind"),
    [
        ("VisuAcqRepetitionTime", [500.0, 1000, 3000], Loop.REPETITION_TIME, SeriesKind.T1_SERIES),
        ("VisuAcqInversionTime", [50.0, 500, 3000], Loop.INVERSION, SeriesKind.T1_SERIES),
        ("VisuAcqEchoTime", [5.0, 10, 15], Loop.ECHO, SeriesKind.T2_SERIES),
    ],
)
@pytest.mark.parametrize("identifier", ["FG_MOVIE", "FG_CYCLE", "FG_NEW"])
def test_dependent_parameters_give_the_meaning_of_a_loop(
    tmp_path, dependent, values, loop, kind, identifier
):
    make_reco(
        tmp_path / "s",
        groups=[("FG_SLICE", 2), (identifier, 3, "", [dependent])],
        visu={dependent: values, "VisuAcqEchoSequenceType": Word("SpinEcho")},
    )
    series = read_one(tmp_path / "s")
    assert series.dimensions[1].loop is loop
    assert series.kind is kind
    keyword = dependent.removeprefix("VisuAcq")
    assert series.plane_attributes[keyword] == np.repeat(values, 2).tolist()


def test_variable_tr_known_to_the_method_only(tmp_path):
    make_reco(
        tmp_path / "s",
        version="5.1",
        groups=[("FG_SLICE", 3), ("FG_MOVIE", 4)],
        visu={"VisuAcqRepetitionTime": [5000.0]},
        method={"Method": Word("RAREVTR"), "MultiRepTime": [5000.0, 3000, 1500, 800]},
    )
    series = read_one(tmp_path / "s")
    assert series.kind is SeriesKind.T1_SERIES
    assert (
        series.plane_attributes["RepetitionTime"] == np.repeat([5000, 3000, 1500, 800], 3).tolist()
    )


def test_a_list_of_the_method_as_long_as_the_slices_is_not_theirs(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_SLICE", 4)],
        visu={"VisuAcqRepetitionTime": None},
        method={"MultiRepTime": [1.0, 2, 3, 4], "PVM_RepetitionTime": 700.0},
    )
    series = read_one(tmp_path / "s")
    assert series.attributes["RepetitionTime"] == 700
    assert "RepetitionTime" not in series.plane_attributes


def test_a_list_that_fits_no_loop_is_left_out_with_a_word(tmp_path):
    make_reco(tmp_path / "s", groups=[("FG_SLICE", 4)], visu={"VisuAcqEchoTime": [1.0, 2, 3]})
    series = read_one(tmp_path / "s")
    assert "EchoTime" not in series.plane_attributes
    assert any("VisuAcqEchoTime has 3 values" in text for text in series.warnings)


def test_labels_belong_to_the_loop_that_owns_them(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[
            ("FG_ECHO", 3),
            ("FG_ISA", 3, "", ["VisuFGElemComment"]),
            ("FG_SLICE", 3, "", ["VisuCorePosition"]),
        ],
        visu={"VisuFGElemComment": ["a", "b", "c"]},
    )
    labels = {d.loop: d.labels for d in read_one(tmp_path / "s").dimensions}
    assert labels == {Loop.ECHO: (), Loop.MAP: ("a", "b", "c"), Loop.SLICE: ()}


def test_labels_of_no_group_go_to_the_one_loop_they_fit(tmp_path):
    visu = {"VisuFGElemId": ["x", "y"]}
    make_reco(tmp_path / "s", groups=[("FG_COIL", 2), ("FG_SLICE", 3)], visu=visu)
    labels = {d.loop: d.labels for d in read_one(tmp_path / "s").dimensions}
    assert labels == {Loop.COIL: ("x", "y"), Loop.SLICE: ()}


@pytest.mark.parametrize("depth", [1, 2])
def test_frames_that_lie_elsewhere_without_a_slice_loop_are_stacks_of_their_own(tmp_path, depth):
    """Stacks are numbered in the order of the frames, not of their places."""
    make_reco(
        tmp_path / "s",
        size=(8, 6) if depth == 1 else (8, 6, depth),
        groups=[("FG_ORIENT", 3, "", ["VisuCorePosition"]), ("FG_CYCLE", 2)],
        position=[[5, 0, 0], [1, 0, 0], [3, 0, 0]],
    )
    series = read_one(tmp_path / "s")
    assert series.stack.tolist() == np.repeat([0, 1, 2, 0, 1, 2], depth).tolist()


def test_time_of_two_nested_loops(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_CYCLE", 2), ("FG_SLICE", 2), ("FG_REPETITION", 3)],
        visu={"VisuAcqScanTime": 6000.0},
    )
    planes = read_one(tmp_path / "s").plane_attributes
    assert planes["TemporalPositionIndex"] == [1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6]
    assert planes["TemporalPositionTimeOffset"] == [
        (index - 1) * 1.0 for index in planes["TemporalPositionIndex"]
    ]


@pytest.mark.parametrize("time", [(10.0, 5.0), (1e12, 5.0)])
def test_frame_times_count_where_they_lie_within_the_scan(tmp_path, time):
    frame_times = [(1000.0 * k, 1000.0) for k in range(3)]
    frame_times[2] = (time[0] * 100, time[1])
    make_reco(
        tmp_path / "s",
        groups=[("FG_CYCLE", 3)],
        visu={"VisuAcqScanTime": 3000.0, "VisuAcqFrameTime": frame_times},
    )
    offsets = read_one(tmp_path / "s").plane_attributes["TemporalPositionTimeOffset"]
    assert offsets == ([0, 1, 1.0] if time[0] < 100 else [0, 1, 2])
