"""Every visible text goes through the translations, and both languages are whole."""

import ast
import string
from pathlib import Path

import pytest

import uploader.gui
from uploader.gui import words

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
    "say_instead",
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
    table = words.sentences()
    assert len(table) > 60
    for key, texts in table.items():
        assert set(texts) == set(words.LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert _places(texts["en"]) == _places(texts["it"]), key


def test_every_sentence_that_is_asked_for_is_there():
    missing = [
        (path.name, first.value)
        for path in MODULES
        for name, node in _calls(path.read_text(encoding="utf-8"))
        if name == "say" and node.args
        for first in node.args[:1]
        if isinstance(first, ast.Constant) and first.value not in words.sentences()
    ]
    assert missing == []


def test_language_and_number_choose_the_sentence():
    assert words.say("convert.converted", n=1) == "converted, 1 file"
    assert words.say("convert.converted", n=2) == "converted, 2 files"
    words.choose("it")
    assert words.say("convert.converted", n=2) == "convertita, 2 file"
    words.choose("nonsense")
    assert words.language() == "en"
