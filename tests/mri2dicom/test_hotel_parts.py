"""The table of a bed, and finding animals on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri2dicom.hotel.detect import (
    Box,
    boxes_around,
    find_animals,
    label_components,
    position_names,
    separate_boxes,
)
from mri2dicom.hotel.roster import BedView, read_roster
from xnat_pic.errors import WrongCallError

HEAD = "position,subject,weight_g,dose_mbq,injection_time\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column position"),
        ("position,name\nleft,a\n", "no column subject"),
        ("position,subject,colour\nleft,a,red\n", "column 'colour'"),
        (HEAD, "names 0 animals"),
        (HEAD + "left,a,heavy,,\n", "line 2: weight_g 'heavy'"),
        (HEAD + "left,a,20,7,10:00,more\n", "line 2 has more values than there are columns"),
        (HEAD + "left,a,-3,,\n", "weight_g"),
        (HEAD + "left,a,nan,,\n", "weight_g"),
        (HEAD + "left,,20,,\n", "subject ''"),
        (HEAD + "left,a^b,20,,\n", "cannot be an id"),
        (HEAD + "left,a,20,7,noon\n", "injection_time 'noon'"),
        (HEAD + "left,a,,,\nleft,b,,,\n", "position 'left' twice"),
        (HEAD + "left,a,,,\nright,A,,,\n", "subject 'a' twice"),
        ("position,subject,orientation\nleft,a,XYZ\n", "orientation 'XYZ'"),
        ("position,subject,x_mm,y_mm\nleft,a,3,\n", "both x_mm and y_mm"),
        ("position,subject,x_mm,y_mm\nl,a,3,4\nr,b,,\n", "for all animals or none"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongCallError, match=words):
        read_roster(path)


def test_a_table_from_a_spreadsheet(tmp_path):
    path = tmp_path / "t.csv"
    text = "Position;Subject;weight_g\r\nTop Left;m1;20,5\r\n;;\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    (entry,) = read_roster(path)
    assert (entry.position, entry.subject, entry.weight_g) == ("top-left", "m1", 20.5)
    assert entry.on_image(BedView.TECHNICIAN) == "top-right"


@pytest.mark.parametrize(("animals", "refused"), [(12, False), (13, True)])
def test_a_bed_has_at_most_twelve_animals(tmp_path, animals, refused):
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "".join(f"p{k},m{k},20,7,\n" for k in range(animals)))
    if refused:
        with pytest.raises(WrongCallError, match="names 13 animals; a bed has 1 to 12"):
            read_roster(path)
    else:
        assert len(read_roster(path)) == 12


@pytest.mark.parametrize(("size", "refused"), [(65_536, False), (65_537, True)])
def test_a_table_of_more_than_64_kilobytes_is_none(tmp_path, size, refused):
    path = tmp_path / "t.csv"
    path.write_bytes((HEAD + "left,m1,20,7,\n").encode().ljust(size, b"\n"))
    if refused:
        with pytest.raises(WrongCallError, match="too large"):
            read_roster(path)
    else:
        assert len(read_roster(path)) == 1


class TestDetection:
    @pytest.mark.parametrize(
        ("depth", "rows", "columns", "found"),
        [
            (16, 40, 40, True),  # of 100 slices
            (15, 40, 40, False),
            (90, 31, 200, True),  # a voxel more than 3 mm
            (90, 30, 200, False),
            (90, 60, 100, True),  # 60 mm2
            (90, 60, 99, False),
        ],
    )
    def test_an_animal_is_as_deep_thick_and_large_as_one(self, depth, rows, columns, found):
        depths = np.zeros((200, 300))
        depths[100:190, 200:299] = 100  # the first animal
        depths[10 : 10 + rows, 2 : 2 + columns] = depth
        extent = (0.1, 0.1) if depth > 20 else (0.2, 0.2)
        assert len(find_animals(depths, extent)) == 1 + found

    def test_a_cut_leaves_six_millimetres_about_an_animal(self):
        (box,) = separate_boxes([Box(-5, 5, -4, 4, (0, 0))], (80.0, 80.0))
        assert (box.left, box.right, box.top, box.bottom) == (-11, 11, -10, 10)

    def test_a_plate_is_no_animal(self):
        depth = np.zeros((60, 80))
        depth[40:42] = 50  # a plate across the bed, of full length
        depth[20:40, 10:30] = 40
        depth[22:40, 50:68] = 45
        boxes = find_animals(depth, (1.0, 1.0))
        assert len(boxes) == 2
        assert sorted(position_names(boxes)) == ["left", "right"]

    def test_nothing(self):
        assert find_animals(np.zeros((9, 9)), (1.0, 1.0)) == []

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**25 - 1))
    def test_labels_are_connected_parts(self, bits):
        mask = np.array([bits >> k & 1 for k in range(25)], bool).reshape(5, 5)
        labels, count = label_components(mask)
        assert np.array_equal(labels > 0, mask)
        assert count == labels.max(initial=0)
        across = mask[:, 1:] & mask[:, :-1]
        down = mask[1:] & mask[:-1]
        assert np.array_equal(labels[:, 1:][across], labels[:, :-1][across])
        assert np.array_equal(labels[1:][down], labels[:-1][down])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=6, unique=True
        )
    )
    def test_no_point_belongs_to_two(self, centres):
        for boxes in (
            boxes_around(centres, (80.0, 80.0)),
            separate_boxes(
                [Box(x - 2, x + 2, y - 2, y + 2, (x, y)) for x, y in centres], (80.0, 80.0)
            ),
        ):
            for number, one in enumerate(boxes):
                for two in boxes[number + 1 :]:
                    wide = min(one.right, two.right) - max(one.left, two.left)
                    high = min(one.bottom, two.bottom) - max(one.top, two.top)
                    assert wide <= 1e-9 or high <= 1e-9

    def test_names_in_rows_and_columns(self):
        def at(*centres):
            return [Box(x - 5, x + 5, y - 5, y + 5, (x, y)) for x, y in centres]

        assert position_names(at((0, 0))) == ["only"]
        assert position_names(at((20, 1), (-20, 0), (0, -1))) == ["right", "left", "middle"]
        assert position_names(at((0, 15), (1, -15))) == ["bottom", "top"]
        corners = at((-15, -15), (15, -14), (-14, 15), (16, 15))
        assert position_names(corners) == ["top-left", "top-right", "bottom-left", "bottom-right"]
