"""Tables of a package and of a person."""

from dataclasses import dataclass

import pytest

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import load_rows, load_table, read_toml, typed_rows


@dataclass(frozen=True)
class Color:
    """A row."""

    name: str
    rgb: tuple[int, ...]


def test_rows_become_objects_with_tuples():
    rows = [{"name": "red", "rgb": [255, 0, 0]}]
    assert typed_rows(rows, Color, "colors") == (Color("red", (255, 0, 0)),)


@pytest.mark.parametrize("row", [{"name": "red"}, {"name": "red", "rgb": [], "hue": 1}])
def test_a_wrong_row_is_named_with_its_place(row):
    good = {"name": "x", "rgb": []}
    with pytest.raises(ValueError, match=r"colors, row 2: .*(rgb|hue)"):
        typed_rows([good, row], Color, "colors")


def test_packaged_tables_are_read_once():
    table = load_table("xnat_config", "resources.toml")
    assert table is load_table("xnat_config", "resources.toml")
    (key, rows) = next((key, value) for key, value in table.items() if isinstance(value, list))
    assert load_rows("xnat_config", "resources.toml", key, dict) == tuple(
        {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()} for row in rows
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a = ", "no valid TOML"), (b"\xff\xfe", "no valid TOML"), (None, "read")],
)
def test_a_persons_file_that_cannot_be_used_is_a_wrong_call(tmp_path, content, said):
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WrongCallError, match=said) as caught:
        read_toml(path, "The settings")
    assert str(caught.value).startswith(f"The settings {path} ")
    assert caught.value.path == path
