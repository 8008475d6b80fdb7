"""Planes in space: slabs, stacks and their numbering under any rigid placement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri2dicom.series import geometry

angles = st.floats(-np.pi, np.pi)
millimetres = st.floats(-200, 200)
pitches = st.floats(0.05, 10)
signs = st.sampled_from([-1.0, 1.0])


@st.composite
def rotations(draw):
    """Give axes as rows: column, row and normal direction."""
    quaternion = np.array([draw(st.floats(-1, 1)) for _ in range(4)])
    length = np.linalg.norm(quaternion)
    w, x, y, z = quaternion / length if length > 1e-3 else (1.0, 0, 0, 0)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


places = st.tuples(millimetres, millimetres, millimetres).map(np.array)


def tilt(axes, degrees):
    """Turn axes about their own first one."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ axes


@given(rotations(), places, pitches, st.integers(1, 20), st.booleans(), st.integers(1, 3))
def test_slab_positions_by_counting(axes, place, pitch, count, backwards, frames):
    position = place + np.arange(frames)[:, None] * 7.0
    normal = np.repeat(axes[2][None], frames, axis=0)
    found = geometry.slab_positions(position, normal, count, pitch, reversed_order=backwards)
    for frame in range(frames):
        for plane in range(count):
            above = count - 1 - plane if backwards else plane
            for axis in range(3):
                expected = position[frame, axis] + above * pitch * axes[2, axis]
                assert found[frame, plane, axis] == pytest.approx(expected, abs=1e-9)
    lowest = found[:, -1] if backwards else found[:, 0]
    np.testing.assert_allclose(lowest, position, atol=1e-9)


@given(rotations(), places, pitches, signs, st.permutations(range(7)))
def test_one_stack_in_any_stored_order(axes, place, pitch, sign, order):
    height = np.array(order) * pitch * sign
    position = place + height[:, None] * axes[2]
    orientation = np.repeat(axes[None], 7, axis=0)
    stack = geometry.split_stacks(position, orientation)
    assert stack.tolist() == [0] * 7
    assert geometry.stack_faces_normal(position, orientation)
    assert geometry.measured_spacing(position, orientation) == pytest.approx(pitch, rel=1e-6)
    numbers = geometry.in_stack_positions(position, orientation, stack)
    ranks = np.argsort(np.argsort(height)) + 1
    assert numbers.tolist() == ranks.tolist()
    location = geometry.slice_location(position, orientation)
    np.testing.assert_allclose(np.diff(location), np.diff(height), atol=1e-6)


@st.composite
def packages(draw):
    """Give 1 to 4 packages of differing orientation, 1 to 6 slices each."""
    axes, place = draw(rotations()), draw(places)
    found = []
    for number in range(draw(st.integers(1, 4))):
        own = tilt(axes, 35.0 * number)
        count, pitch = draw(st.integers(1, 6)), draw(pitches) * draw(signs)
        steps = np.arange(count)[:, None] * pitch
        found.append((place + number + steps * own[2], np.repeat(own[None], count, axis=0)))
    return found


@given(packages())
def test_packages_are_split_into_stacks(found):
    position = np.concatenate([entry[0] for entry in found])
    orientation = np.concatenate([entry[1] for entry in found])
    expected = np.repeat(np.arange(len(found)), [len(entry[0]) for entry in found])
    stack = geometry.split_stacks(position, orientation)
    assert stack.tolist() == expected.tolist()
    numbers = geometry.in_stack_positions(position, orientation, stack)
    for number, (own, _) in enumerate(found):
        assert sorted(numbers[stack == number]) == list(range(1, len(own) + 1))


@given(st.lists(places, min_size=1, max_size=12), rotations(), st.integers(0, 2**12 - 1))
def test_stack_numbers_count_up_and_never_mix_orientations(position, axes, turned):
    position = np.array(position)
    orientation = np.array([tilt(axes, 20.0 * (turned >> k & 1)) for k in range(len(position))])
    stack = geometry.split_stacks(position, orientation)
    assert stack[0] == 0
    assert set(np.diff(stack)) <= {0, 1}
    for number in range(stack.max() + 1):
        own = orientation[stack == number]
        assert np.abs(own - own[0]).max() <= geometry.PARALLEL_TOLERANCE
        line = position[stack == number]
        moves = np.diff(line, axis=0)
        if len(moves) > 1:
            step = np.linalg.norm(moves[0])
            off = np.linalg.norm(np.cross(moves, moves[0]), axis=1) / step
            assert off.max() <= max(geometry.SPACING_TOLERANCE_MM, 1e-3 * step) * 1.001


@given(rotations(), places, pitches, st.integers(2, 8), st.integers(1, 4), signs)
def test_planes_at_one_position_share_their_number(axes, place, pitch, count, repeats, sign):
    height = np.repeat(np.arange(count) * pitch * sign, repeats)
    jitter = np.tile([0.0, 2e-4, -2e-4, 1e-4], len(height))[: len(height)]
    position = place + (height + jitter)[:, None] * axes[2]
    orientation = np.repeat(axes[None], len(height), axis=0)
    numbers = geometry.in_stack_positions(
        position, orientation, np.zeros(len(height), dtype=np.intp)
    )
    expected = np.repeat(np.arange(1, count + 1), repeats)
    assert numbers.tolist() == (expected if sign > 0 else count + 1 - expected).tolist()


@given(rotations(), places, pitches, st.integers(2, 6))
def test_slices_that_step_within_their_plane_are_no_stack(axes, place, pitch, count):
    position = place + np.arange(count)[:, None] * pitch * axes[0]
    orientation = np.repeat(axes[None], count, axis=0)
    assert not geometry.stack_faces_normal(position, orientation)
    assert geometry.measured_spacing(position, orientation) is None


def test_unequal_steps_have_no_spacing():
    orientation = np.repeat(np.eye(3)[None], 4, axis=0)
    position = np.array([[0, 0, z] for z in (0.0, 1, 2, 4)])
    assert geometry.measured_spacing(position, orientation) is None
    assert geometry.measured_spacing(position[:1], orientation[:1]) is None
    assert geometry.measured_spacing(position[:3], orientation[:3]) == 1.0
    # A gap in one line is still one stack.
    assert geometry.split_stacks(position, orientation).tolist() == [0, 0, 0, 0]


def test_slices_on_another_line_are_another_stack():
    orientation = np.repeat(np.eye(3)[None], 5, axis=0)
    position = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2], [9, 0, 0], [9, 0, 1.0]])
    assert geometry.split_stacks(position, orientation).tolist() == [0, 0, 0, 1, 1]


@given(rotations(), st.floats(1e-2, 1))
def test_axes_must_be_perpendicular(axes, change):
    assert geometry.is_orthonormal(axes[None])
    assert not geometry.is_orthonormal((axes + change * np.eye(3) * np.sign(axes))[None] * 1.01)
    broken = axes.copy()
    broken[1, 1] = np.nan
    assert not geometry.is_orthonormal(broken[None])
    assert geometry.is_orthonormal(axes[None] * [[-1.0], [1], [1]])


@given(rotations(), places, pitches, pitches, pitches)
def test_the_affine_maps_indices_to_patient_millimetres(axes, place, row, column, pitch):
    matrix = geometry.affine(place, axes, (row, column), pitch * axes[2])
    for index in ([0, 0, 0], [3, 0, 0], [0, 5, 0], [1, 2, 4]):
        expected = place + index[0] * column * axes[0] + index[1] * row * axes[1]
        expected = expected + index[2] * pitch * axes[2]
        np.testing.assert_allclose((matrix @ [*index, 1])[:3], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("turned", "beside", "stacks"),
    [
        (0.9e-4, 0.0, 1),
        (1.1e-4, 0.0, 2),
        (0.0, 0.9e-3, 1),  # of steps below 1 mm, 0.001 mm
        (0.0, 1.1e-3, 2),
    ],
)
def test_slices_are_one_stack_within_their_tolerance(turned, beside, stacks):
    position = np.array([[0, 0, 0], [0, 0, 0.5], [beside, 0, 1.0]])
    orientation = np.repeat(np.eye(3)[None], 3, axis=0)
    orientation[2] = tilt(np.eye(3), np.degrees(turned))
    found = geometry.split_stacks(position, orientation)
    assert found.max() + 1 == stacks


@pytest.mark.parametrize(("gap", "apart"), [(0.9e-3, False), (1.1e-3, True)])
def test_slices_a_thousandth_of_a_millimetre_apart_are_a_stack(gap, apart):
    position = np.array([[0, 0, 0], [0, 0, gap]])
    orientation = np.repeat(np.eye(3)[None], 2, axis=0)
    assert geometry.stack_faces_normal(position, orientation) == apart
    assert (geometry.measured_spacing(position, orientation) is not None) == apart


@pytest.mark.parametrize(("uneven", "even"), [(0.9e-3, True), (1.1e-3, False)])
@pytest.mark.parametrize("pitch", [0.5, 1.0, 4.0])
def test_steps_are_even_within_a_thousandth(pitch, uneven, even):
    heights = [0, pitch, 2 * pitch + 2 * uneven * max(pitch, 1.0)]
    position = np.array([[0, 0, z] for z in heights])
    orientation = np.repeat(np.eye(3)[None], 3, axis=0)
    assert (geometry.measured_spacing(position, orientation) is not None) == even


@pytest.mark.parametrize(("longer", "good"), [(0.4e-3, True), (0.6e-3, False)])
def test_axes_have_unit_length_within_a_thousandth_of_their_square(longer, good):
    assert geometry.is_orthonormal(np.eye(3)[None] * (1 + longer)) == good
