"""Every visible text goes through the translations, and both languages are whole."""

import ast
import re
import string
from pathlib import Path

import pytest

import uploader.gui
from mri2dicom import SeriesKind
from uploader.gui import translation
from uploader.gui.convert.table import kind_key

MODULES = sorted(Path(uploader.gui.__file__).parent.rglob("*.py"))
SHOWS = {
    "setText",
    "setToolTip",
    "setAccessibleName",
    "setAccessibleDescription",
    "setPlaceholderText",
    "setWindowTitle",
    "QLabel",
    "QPushButton",
    "QCheckBox",
    "label",
    "addTab",
    "Notice",
    "show_message",
    "clear",
}


def _places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def _calls(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield name, node


def _untranslated(source):
    return [
        (node.lineno, first.value)
        for name, node in _calls(source)
        if name in SHOWS
        for first in [*node.args[:2]]
        if isinstance(first, ast.Constant)
        and isinstance(first.value, str)
        and any(c.isalpha() for c in first.value)
        and not (name in ("label", "Notice") and first is not node.args[0])
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_visible_text_stands_in_the_code(module):
    assert _untranslated(module.read_text(encoding="utf-8")) == []


def test_a_text_in_the_code_would_be_found():
    assert _untranslated('label("Hello")\nb.setText("Stop")\n') == [(1, "Hello"), (2, "Stop")]


def test_both_languages_have_every_sentence_with_the_same_places():
    table = translation.messages()
    assert len(table) > 60
    for key, texts in table.items():
        assert set(texts) == set(translation.LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert _places(texts["en"]) == _places(texts["it"]), key


def test_every_sentence_that_is_asked_for_is_there():
    missing = [
        (path.name, first.value)
        for path in MODULES
        for name, node in _calls(path.read_text(encoding="utf-8"))
        if name == "translate" and node.args
        for first in node.args[:1]
        if isinstance(first, ast.Constant) and first.value not in translation.messages()
    ]
    assert missing == []


def test_language_and_number_choose_the_sentence():
    assert translation.translate("convert.converted", n=1) == "converted, 1 file"
    assert translation.translate("convert.converted", n=2) == "converted, 2 files"
    translation.choose("it")
    assert translation.translate("convert.converted", n=2) == "convertita, 2 file"
    translation.choose("nonsense")
    assert translation.language() == "en"


def _asked_for(sources):
    """Return the keys that code names as they stand, and patterns of those it puts together."""
    whole, patterns = set(), []
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                parts = [
                    re.escape(part.value) if isinstance(part, ast.Constant) else r"[a-z0-9_]+"
                    for part in node.values
                ]
                if re.match(r"[a-z]+\\\.", parts[0]):
                    patterns.append(re.compile("".join(parts)))
    return whole, patterns


def _unused(keys, sources, told=""):
    whole, patterns = _asked_for(sources)
    return [
        key
        for key in keys
        if key.removesuffix("_one") not in whole
        and key not in whole
        and f'"{key.removesuffix("_one")}"' not in told
        and not any(pattern.fullmatch(key) for pattern in patterns)
    ]


def test_no_sentence_is_left_that_no_code_uses():
    kinds = {kind_key(kind.value) for kind in SeriesKind}
    assert kinds <= set(translation.messages())
    keys = set(translation.messages()) - kinds
    sources = [path.read_text(encoding="utf-8") for path in MODULES]
    folder = Path(uploader.gui.__file__).parent
    told = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*/*.toml"))
    assert _unused(sorted(keys), sources, told) == []


def test_an_unused_sentence_would_be_found():
    source = 'translate("a.one"); translate(f"b.{x}_end", n=1)'
    keys = ["a.one", "a.one_one", "b.red_end", "b.end", "c.one"]
    assert _unused(keys, [source]) == ["b.end", "c.one"]


def test_languages_differ():
    same = [key for key, texts in translation.messages().items() if texts["en"] == texts["it"]]
    assert len(same) < len(translation.messages()) / 8, same
