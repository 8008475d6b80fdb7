"""The reason that a server's answer gives, in its own words; pure text."""

from __future__ import annotations

import html
import json
import re

from xnat_pic.text import one_line

_MESSAGE = re.compile(r"<h3>(.*?)</h3>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_LONGEST = 100_000


def reason_in(content: bytes, otherwise: str = "") -> str:
    """Return the reason in the body of an answer, short and printable.

    Parameters
    ----------
    content : bytes
        XNAT's page of a fault, JSON with a ``message``, or text.
    otherwise : str
        What to say where the body says nothing.
    """
    text = content[:_LONGEST].decode("utf-8", "replace")
    found = _MESSAGE.search(text)
    if found:
        text = found.group(1)
    elif "<html" in text[:500].lower() or "<!doctype" in text[:500].lower():
        text = ""
    else:
        text = _json_message(content) or text
    text = html.unescape(_TAG.sub(" ", text))
    return one_line(text, 500) or otherwise


def _json_message(content: bytes) -> str:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("message", "")) if isinstance(found, dict) else ""


def version_numbers(text: str) -> tuple[int, ...]:
    """Return the version that a server tells of itself.

    Parameters
    ----------
    text : str
        ``version`` of ``/xapi/siteConfig/buildInfo``, such as ``1.8.10-SNAPSHOT``.

    Returns
    -------
    tuple of int
        Such as (1, 8, 10), at most three; empty where the text holds no number.
    """
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
