"""Filling of lines: inclusion, bias, holes, islands, overlaps, borders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region_files import box, centres_inside, circle

from pipelines.regions.fill import (
    Holes,
    Polygon,
    boundaries_cross,
    contains,
    fill,
    fill_plane,
    same_line,
)

SIZE = (20, 24)
COORDINATE = st.integers(-40, 280).map(lambda n: n / 10)
POLYGON = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=12)


def _fill(polygons, size=SIZE, holes=Holes.AUTO):
    plane = np.zeros(size, dtype=bool)
    found = fill_plane([Polygon(np.asarray(p, dtype=float)) for p in polygons], size, holes, plane)
    return plane, found


@given(POLYGON)
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_inside_when_its_centre_is(polygon):
    points = np.array(polygon)
    one = fill(points, SIZE)
    found = np.zeros(SIZE, dtype=bool)
    found[one.rows, one.columns] = one.inside
    unsure = found != centres_inside([points], SIZE)
    # Only a centre on the line itself may be told otherwise by the rounding of a crossing.
    for row, column in np.argwhere(unsure):
        start, end = points, np.roll(points, -1, axis=0)
        along = end - start
        length = np.maximum((along**2).sum(axis=1), 1e-12)
        part = np.clip((([column, row] - start) * along).sum(axis=1) / length, 0, 1)
        assert np.linalg.norm(start + part[:, None] * along - [column, row], axis=1).min() < 1e-3


@given(st.integers(0, 1000), st.integers(2, 9))
@settings(max_examples=30, deadline=None)
def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out(seed, count):
    """A rectangle cut into a fan of triangles around an inner point."""
    rng = np.random.default_rng(seed)
    centre = np.round(rng.uniform(5, 15, 2), rng.integers(0, 4))
    outline = box(2, 3, 18, 17)
    cuts = np.sort(rng.uniform(0, 4, count))
    rim = [outline[int(c)] + (c % 1) * (outline[(int(c) + 1) % 4] - outline[int(c)]) for c in cuts]
    rim = [(c, p) for c, p in zip(cuts, rim, strict=True)] + [
        (float(k), outline[k]) for k in range(4)
    ]
    rim = [p for _, p in sorted(rim, key=lambda pair: pair[0])]
    total = np.zeros(SIZE, dtype=int)
    for a, b in zip(rim, [*rim[1:], rim[0]], strict=True):
        total += _fill([[centre, a, b]])[0]
    whole, _ = _fill([outline])
    assert np.array_equal(total, whole.astype(int))


def _bias(shapes, area):
    """Mean relative error of the area over 60 sub-pixel places."""
    rng = np.random.default_rng(1)
    counts = [_fill(shapes(x, y), (64, 64))[0].sum() for x, y in rng.uniform(30, 31, (60, 2))]
    return abs(np.mean(counts) / area - 1)


def _ring_area(outer, inner, count=180):
    return 0.5 * count * np.sin(2 * np.pi / count) * (outer**2 - inner**2)


def test_discs_are_not_biased():
    assert _bias(lambda x, y: [circle(x, y, 10)], _ring_area(10, 0)) < 0.003


def test_rings_of_two_contours_are_not_biased():
    shapes = _bias(lambda x, y: [circle(x, y, 10), circle(x, y, 5)], _ring_area(10, 5))
    assert shapes < 0.003


def _keyhole(x, y, outer, inner):
    return np.vstack([circle(x, y, outer), [[x + outer, y]], [[x + inner, y]],
                      circle(x, y, inner)[::-1], [[x + inner, y]]])  # fmt: skip


def test_keyholes_are_not_biased():
    assert _bias(lambda x, y: [_keyhole(x, y, 10, 5)], _ring_area(10, 5)) < 0.003


@pytest.mark.parametrize("place", [(15.0, 15.0), (15.5, 15.5), (15.3, 14.8)])
def test_a_keyhole_is_the_ring_of_two_contours(place):
    ring, _ = _fill([circle(*place, 10), circle(*place, 5)], (32, 32))
    keyhole, found = _fill([_keyhole(*place, 10, 5)], (32, 32))
    assert np.array_equal(ring, keyhole)
    assert found.looped == 0


def test_an_island_in_a_hole_is_filled_again():
    plane, found = _fill([box(1, 1, 17, 17), box(4, 4, 14, 14), box(7, 7, 11, 11)])
    assert plane.sum() == 16 * 16 - 10 * 10 + 4 * 4
    assert found.area == 16 * 16 - 10 * 10 + 4 * 4


def test_crossing_contours_are_taken_together_and_said():
    pair = [box(2, 2, 10, 10), box(6, 6, 14, 14)]
    plane, found = _fill(pair)
    assert plane.sum() == 64 + 64 - 16
    assert found.crossing
    assert _fill(pair, holes=Holes.XOR)[0].sum() == 64 + 64 - 32
    assert _fill([*pair, box(7, 7, 9, 9)], holes=Holes.UNION)[0].sum() == 64 + 64 - 16


def test_crossing_contours_with_a_hole_keep_the_hole():
    plane, _ = _fill([box(1, 1, 11, 11), box(8, 1, 18, 11), box(3, 3, 6, 6)])
    assert plane.sum() == 17 * 10 - 9


def test_small_contours_that_cross_between_pixel_centres_are_a_union():
    """The second holds no other centre than the first, and yet is no hole of it."""
    plane, found = _fill([circle(8, 8, 1.2), circle(8.4, 8, 1.1)])
    assert found.crossing
    assert plane[8, 8]
    assert plane.sum() == (_fill([circle(8, 8, 1.2)])[0] | _fill([circle(8.4, 8, 1.1)])[0]).sum()


def test_a_hole_that_touches_the_outline_is_a_hole():
    plane, found = _fill([box(2, 2, 12, 12), box(2, 4, 6, 8)])
    assert plane.sum() == 100 - 16
    assert not found.crossing


@pytest.mark.parametrize("turn", [0, 3])
def test_a_contour_that_is_there_twice_is_taken_once(turn):
    line = circle(9.2, 9.7, 5)
    again = np.roll(line[::-1], turn, axis=0) + 1e-5
    plane, found = _fill([line, again])
    assert np.array_equal(plane, _fill([line])[0])
    assert found.duplicates == 1


def test_a_bow_tie_is_said_to_cross_itself():
    _, found = _fill([[[2, 2], [14, 12], [14, 2], [2, 12]]])
    assert found.looped == 1
    assert np.isnan(found.area)


def test_a_disc_smaller_than_a_pixel_may_hold_no_centre():
    assert _fill([circle(8.5, 8.5, 0.4)])[0].sum() == 0
    assert _fill([circle(8.1, 8.1, 0.4)])[0].sum() == 1


@pytest.mark.parametrize("shift", [(-9, 0), (9, 0), (0, -9), (0, 9), (-1e9, 0), (0, 1e9)])
def test_what_leaves_the_image_is_cut_off_and_never_wraps(shift):
    line = circle(12, 10, 8) + shift
    plane, _ = _fill([line])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = contains(line, np.column_stack([x.ravel(), y.ravel()]).astype(float)).reshape(SIZE)
    assert np.array_equal(plane, inside)


def test_a_line_around_the_whole_image_fills_it():
    assert _fill([box(-1e6, -1e6, 1e6, 1e6)])[0].all()


def test_a_line_of_many_long_edges_is_filled_in_portions(monkeypatch):
    points = np.random.default_rng(6).uniform(-2, 24, (300, 2))
    whole, _ = _fill([points])
    monkeypatch.setattr("pipelines.regions.fill._CHUNK", 7)
    portions, _ = _fill([points])
    assert np.array_equal(whole, portions)
    assert np.array_equal(whole, centres_inside([points], SIZE))


def test_lines_cross_only_where_both_pass_through():
    assert boundaries_cross(box(0, 0, 4, 4), box(2, 2, 6, 6))
    assert not boundaries_cross(box(0, 0, 4, 4), box(4, 0, 8, 4))
    assert not boundaries_cross(box(0, 0, 9, 9), box(2, 2, 6, 6))
    assert not boundaries_cross(box(0, 0, 4, 4), box(10, 10, 14, 14))
    assert boundaries_cross(box(0, 0, 10, 10), box(6, 0, 16, 10)), "along common edges"
    assert boundaries_cross(circle(8, 8, 1.2), circle(8.4, 8, 1.1)), "through a corner"


def test_equal_lines_are_equal_wherever_they_start():
    line = circle(5, 5, 3, 12)
    assert same_line(line, np.roll(line, 5, axis=0))
    assert same_line(line, np.roll(line[::-1], 2, axis=0))
    assert not same_line(line, line * 1.01)
