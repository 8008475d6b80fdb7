"""The tables load, agree with the standard, and a site can change them."""

import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

import xnat_config
from sandbox.archive.dicom_rules import resource_label
from xnat_config import load_config
from xnat_pic.errors import WrongCallError

NOWHERE = {"XNAT_PIC_HOME": "nowhere"}
CONFIG = load_config(environ=NOWHERE)
TABLES = ("variables", "labels", "modalities", "sop_classes", "resources")


def site(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_its_source(name):
    text = (resources.files(xnat_config) / f"{name}.toml").read_text(encoding="utf-8")
    rows = []
    for value in tomllib.loads(text).values():
        rows += value if isinstance(value, list) else [value]
    assert rows
    # How a label is built, and the raw and ignored names, are house rules with their reason too.
    assert [row for row in rows if not row.get("source")] == []


def test_sop_classes_are_the_standards():
    for known in CONFIG.kinds.by_uid.values():
        uid = UID(known.uid)
        assert uid.name == known.name
        assert uid.type == "SOP Class"


def test_the_resource_of_a_class_is_the_servers():
    for uid in CONFIG.kinds.by_uid:
        label = resource_label({"SOPClassUID": uid})
        assert CONFIG.kinds.is_primary(uid) is (label == CONFIG.resources.dicom), uid


def test_the_papers_variables():
    variables = CONFIG.variables
    assert variables.names == ("group", "timepoint", "dose")
    assert [name for name in variables.names if variables.of_subject(name)] == ["group", "dose"]
    assert variables.announced_by("TimePoint") == "timepoint"
    assert variables.announced_by("treated") == ""


@pytest.mark.parametrize(
    ("name", "days"),
    [("pre", 0), ("baseline", 0), ("post1w", 7), ("post2w", 14), ("Post 3d", 3), ("post12h", 0.5),
     ("post1m", 30), ("day10", 10), ("2w", 14), ("week 2", 14), ("late", None)],
)  # fmt: skip
def test_days_of_a_timepoint(name, days):
    found = CONFIG.variables.timepoint_days(name)
    assert found == (days if days is None else pytest.approx(days))


def test_timepoints_sort_by_time_and_declared_order_comes_first(tmp_path):
    names = ["post2w", "late", "post10d", "pre", "post1w"]
    key = CONFIG.variables.timepoint_key
    assert sorted(names, key=key) == ["pre", "post1w", "post10d", "post2w", "late"]
    own = site(tmp_path, '[[variable]]\nname = "timepoint"\nvalues = ["late", "pre"]\n')
    assert sorted(names, key=own.variables.timepoint_key)[:2] == ["late", "pre"]


@pytest.mark.parametrize(
    ("sop", "modality", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.4", "", "MR"),
        ("1.2.840.10008.5.1.4.1.1.128", "PT", "PET"),
        ("1.2.840.10008.5.1.4.1.1.7", "CT", "CT"),
        ("1.2.840.10008.5.1.4.1.1.7", "SC", "OT"),
        ("1.2.840.10008.5.1.4.1.1.30", "MR", "MR"),
        ("1.2.3", "OP", "OT"),
        ("1.2.3", "never heard", "OT"),
    ],
)
def test_kind_of_an_object(sop, modality, kind):
    assert CONFIG.kinds.of(sop, modality) == kind


def test_session_types_are_xnats():
    types = {code: kind.session_type for code, kind in CONFIG.kinds.by_code.items()}
    assert types["MR"] == "xnat:mrSessionData"
    assert types["PET"] == "xnat:petSessionData"
    assert types["OT"] == "xnat:otherDicomSessionData"
    assert CONFIG.kinds.leading(["MR", "CT", "PET"]) == "PET"


@given(st.text(max_size=300))
def test_a_clean_label_is_one_xnat_keeps(text):
    label = CONFIG.labels.clean(text)
    assert len(label) <= 64
    assert set(label) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert CONFIG.labels.clean(label) == label


@given(st.text("ab", min_size=65, max_size=90), st.text("ab", min_size=65, max_size=90))
def test_long_texts_that_differ_stay_different(one, other):
    assert (CONFIG.labels.clean(one) == CONFIG.labels.clean(other)) == (one == other)


@given(
    subject=st.text(min_size=1, max_size=100),
    timepoint=st.text(max_size=100),
    number=st.integers(1, 20),
)
def test_a_session_label_ends_in_kind_and_number(subject, timepoint, number):
    values = {"subject": subject, "timepoint": timepoint, "date": "20240109", "modality": "MR"}
    label = CONFIG.labels.session(values, number)
    assert CONFIG.labels.is_clean(label)
    assert label.endswith("MR" if number == 1 else f"MR_{number}")


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({"subject": "m01", "timepoint": "pre", "modality": "MR", "date": "1"}, "m01_pre_MR"),
        ({"subject": "m01", "timepoint": "", "modality": "MR", "date": "20240109"},
         "m01_20240109_MR"),
        ({"subject": "m01", "modality": "MR"}, "m01_MR"),
        ({"subject": "", "timepoint": "pre", "modality": "MR"}, "pre_MR"),
        ({"subject": "m 1/ä", "timepoint": "post 1w", "modality": "PET"}, "m_1___post_1w_PET"),
    ],
)  # fmt: skip
def test_session_labels(values, label):
    assert CONFIG.labels.session(values) == label


def test_side_files_by_name():
    label = CONFIG.resources.label_of
    assert label("Report.PDF") == "DOCUMENTS"
    assert label("a.nii.gz") == "NIFTI"
    assert label("pet.img.hdr") == "RAW"
    assert label("unknown.abc") == "FILES"
    assert CONFIG.resources.is_ignored(".DS_Store")
    assert CONFIG.resources.is_ignored("~$plan.xlsx")
    assert not CONFIG.resources.is_ignored("plan.xlsx")


def test_a_site_renames_adds_and_removes(tmp_path):
    config = site(
        tmp_path,
        """
        [form]
        title = "Our form"
        [session]
        template = "{subject}-{modality}-{when}"
        [raw]
        project = "scanner_data"
        [[variable]]
        name = "treatment"
        replaces = "group"
        [[variable]]
        name = "cage"
        title = "Cage"
        level = "subject"
        [[variable]]
        name = "dose"
        remove = true
        [[side]]
        label = "HISTOLOGY"
        suffixes = [".ndpi"]
        [[sop_class]]
        uid = "1.2.3.4"
        name = "Ours"
        kind = "US"
        joins = false
        primary = true
        """,
    )
    assert config.variables.names == ("treatment", "timepoint", "cage")
    assert config.variables.announced_by("group") == "treatment"
    assert config.variables.form_title == "Our form"
    assert config.labels.session({"subject": "a", "date": "1", "modality": "MR"}) == "a-MR-1"
    assert config.resources.raw_project == "scanner_data"
    assert config.resources.label_of("x.ndpi") == "HISTOLOGY"
    assert config.resources.label_of("x.unknown") == "FILES"
    assert config.kinds.of("1.2.3.4", "MR") == "US"
    # What one site loaded does not stay for the next.
    assert load_config(environ=NOWHERE) == CONFIG


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a = ", "no valid TOML"),
        ("[colours]\nx = 1\n", "'colours', which means nothing"),
        ("[variable]\nname = 'x'\n", "two brackets"),
        ("characters = 'x'\n", r"write \[characters\] on a line"),
        ("[[variable]]\ntitle = 'x'\n", "needs a name"),
        ("[[variable]]\nname = 'cage'\n", "lacks the field 'level'"),
        ("[[variable]]\nname = 'cage'\nlevel = 'scan'\n", "level is 'scan'"),
        ("[[variable]]\nname = 'Cage 1'\nlevel = 'subject'\n", "cannot name a variable"),
        ("[[variable]]\nname = 'subject'\nlevel = 'subject'\n", "cannot name a variable"),
        ("[[variable]]\nname = 'x'\nreplaces = 'y'\n", "there is no variable 'y'"),
        ("[[variable]]\nname = 'group'\ncolour = 'y'\n", "'colour', which means nothing"),
        ("[[variable]]\nname = 'group'\nvalues = [1]\n", "wrong kind"),
        ("[[variable]]\nname = 'group'\naliases = ['dose']\n", "announces both"),
        ("[[variable]]\nname = 'group'\npattern = '('\n", "group|pattern|parenthesis"),
        ("[characters]\nreplacement = ' '\n", "no allowed character"),
        ("[characters]\nmax_length = 4\n", "Use 24 to 255"),
        ("[session]\ntemplate = '{subject}_{'\n", "bracket without its partner"),
        ("[session]\ntemplate = '{subjct}_{when}'\n", "names {subjct}, which there is not"),
        ("[session]\ntemplate = '{subject.x}'\n", "names {subject.x}, which there is not"),
        ("[session]\ntemplate = '{when}_{modality}'\n", "lacks {subject}"),
    ],
)
def test_a_site_file_that_means_nothing_says_so(tmp_path, text, what):
    with pytest.raises(WrongCallError, match=what):
        site(tmp_path, text)


def test_where_the_site_file_is_found(tmp_path):
    (tmp_path / "site.toml").write_text('[form]\ntitle = "A"\n', encoding="utf-8")
    (tmp_path / "other.toml").write_text('[form]\ntitle = "B"\n', encoding="utf-8")
    home = {"XNAT_PIC_HOME": str(tmp_path)}
    assert load_config(environ=home).variables.form_title == "A"
    named = {**home, "XNAT_PIC_SITE": str(tmp_path / "other.toml")}
    assert load_config(environ=named).variables.form_title == "B"
    with pytest.raises(WrongCallError, match="cannot be read"):
        load_config(tmp_path / "gone.toml")
