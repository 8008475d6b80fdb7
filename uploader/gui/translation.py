"""Every message of the window, in the languages that are shipped.

The messages are data: ``translations/*.toml``, one table for each key with one value for each
language. A page owns its file.
"""

from functools import lru_cache
from importlib import resources

from PySide6.QtCore import QLocale

from xnat_pic.tables import load_table

LANGUAGES = {"en": "English", "it": "Italiano"}
_DEFAULT = "en"

_chosen = [_DEFAULT]


def translate(key: str, **values: object) -> str:
    """Return the message of a key in the chosen language, with its places filled.

    A number called ``n`` chooses the form: where it is 1 and the key has a ``_one`` sibling,
    that is taken.

    Raises
    ------
    KeyError
        If there is no such key: a fault of the program.
    """
    table = messages()
    if values.get("n") == 1 and f"{key}_one" in table:
        key = f"{key}_one"
    text = table[key][_chosen[0]]
    return text.format(**values) if values else text


def language() -> str:
    """Return the chosen language's code."""
    return _chosen[0]


def choose(code: str) -> None:
    """Choose the language of what is said from now on; an unknown one means English."""
    _chosen[0] = code if code in LANGUAGES else _DEFAULT


def system_language() -> str:
    """Return the language of the system where it is shipped, else English."""
    code = QLocale.system().name().partition("_")[0]
    return code if code in LANGUAGES else _DEFAULT


@lru_cache(maxsize=1)
def messages() -> dict[str, dict[str, str]]:
    """Return all messages: key, as ``page.name``, to language to text."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(_folder().iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            for page, rows in load_table(__package__, f"translations/{file.name}").items():
                for name, texts in rows.items():
                    found[f"{page}.{name}"] = texts
    return found


def _folder() -> resources.abc.Traversable:
    return resources.files(__package__) / "translations"
