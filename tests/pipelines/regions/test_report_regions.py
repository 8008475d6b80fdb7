"""The page of a run, and a run that is stopped."""

import json
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pydicom
import pytest
from click.testing import CliRunner

from pipelines.cli import main


class Cells(HTMLParser):
    """Rows of all tables of a page."""

    def __init__(self):
        super().__init__()
        self.rows, self._inside = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def axial(shared_data):
    return shared_data / "roi" / "synthetic" / "axial"


@pytest.fixture(scope="module")
def page(axial, tmp_path_factory):
    """A page in which one region is empty, and the JSON beside it."""
    folder = tmp_path_factory.mktemp("page")
    ds = pydicom.dcmread(next((axial / "RTSTRUCT").iterdir()))
    del ds.ROIContourSequence[3].ContourSequence
    ds.save_as(folder / "roi.dcm")
    words = ["--image", axial / "image", "--roi", folder / "roi.dcm", "--unit", "ms"]
    words += ["--map", axial / "map.nii.gz", folder / "out", "--json", "--format", "report"]
    done = CliRunner().invoke(main, ["mask-average", *map(str, words)])
    assert done.exit_code == 8, done.output
    return (folder / "out" / "report.html").read_text(encoding="utf-8"), json.loads(done.stdout)


def test_the_first_table_has_every_region_and_its_numbers(page):
    text, said = page
    parser = Cells()
    parser.feed(text)
    rows = parser.rows[1:]
    for one in said["rois"]:
        start = next(k for k, row in enumerate(rows) if row[0] == f"{one['number']} {one['name']}")
        if not one["usable"]:
            assert rows[start][1] == one["warnings"][0]
            continue
        row = one["maps"][0]
        for offset, found in enumerate((row, row["reciprocal"])):
            cells, whole = rows[start + offset], found["whole"]
            assert cells[1] == f"{found['map']} ({found['unit']})"
            assert cells[2] == str(whole["voxels"])
            assert cells[3] == str(whole["nan"] + whole["flagged"])
            assert [cells[k] for k in (4, 5, 6)] == [
                f"{whole[key]:.4g}" for key in ("mean", "sd", "median")
            ]
            assert cells[9].startswith(f"{found['core']['mean']:.4g} ")


def test_every_slice_has_its_row(page):
    text, said = page
    expected = sum(
        len(found["slices"])
        for one in said["rois"]
        for row in one["maps"]
        for found in (row, row["reciprocal"])
    )
    parser = Cells()
    parser.feed(text)
    assert sum(len(row) == 8 and row[0].isdigit() for row in parser.rows) == expected


def test_histograms_are_as_high_as_their_counts(page):
    text, said = page
    drawn = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    usable = [one for one in said["rois"] if one["usable"]]
    assert len(drawn) == 2 * len(usable)
    counts = usable[0]["maps"][0]["histogram"]["counts"]
    bars = re.findall(r'<rect x="(\d+)" y="[\d.]+" width="\d+" height="([\d.]+)"', drawn[0])
    assert len(bars) == sum(count > 0 for count in counts)
    for x, height in bars:
        assert float(height) == pytest.approx(60 * counts[int(x) // 5] / max(counts), abs=0.06)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_nothing(axial, tmp_path, number):
    words = ["--image", axial / "image", "--roi", axial / "AIM", "--map", axial / "map.nii.gz"]
    code = "from pipelines.cli import main; main()"
    command = [sys.executable, "-c", code, "mask-average", *map(str, words), tmp_path / "out"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".out.*")) and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "nothing was written" in said
    assert list(tmp_path.iterdir()) == []
