"""The part of a report that a person signs: what was compared with what, when and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from xnat_pic.files import bytes_digest
from xnat_pic.version import version

from ..planning.journal import Journal
from ..verification.levels import ProofLevel
from .texts import escape_text

COLUMNS = ("verified", "level", "planned", "found", "bytes equal", "pixels equal")
_HEADS = ("session", *COLUMNS, "proof", "program", "account")


@dataclass(frozen=True)
class ProofRecord:
    """The last verification of a session.

    Attributes
    ----------
    at_s : float
        Seconds since 1970; 0 where there was none.
    record : dict
        See `uploader.verification.records.verification_record`.
    standing : tuple of str
        What it found and nobody has mended.
    """

    at_s: float
    record: dict[str, Any]
    standing: tuple[str, ...]

    @classmethod
    def of(cls, journal: Journal, row_key: str) -> ProofRecord:
        """Read what the journal knows."""
        at_s, record = journal.verification(row_key)
        texts = dict.fromkeys(one.text for one in journal.findings(row_key))
        return cls(at_s, record, tuple(texts))

    def values(self) -> dict[str, str]:
        """Return what stands in the columns of a table, by `COLUMNS`."""
        if not self.record:
            return dict.fromkeys(COLUMNS, "")
        record = self.record
        sample = " (sample)" if record.get("sample") else ""
        moment = datetime.fromtimestamp(self.at_s).astimezone()
        return {
            "verified": moment.strftime("%Y-%m-%d %H:%M:%S %z"),
            "level": f"{record.get('level', '')}{sample}",
            "planned": str(record.get("planned", "")),
            "found": str(record.get("found", "")),
            "bytes equal": str(record.get("checksummed", "")),
            "pixels equal": str(record.get("pixels_equal", "")),
        }


def proof_section(rows: Iterable[tuple[str, str, ProofRecord]], table: bytes, name: str) -> str:
    """Return the part of the page that a person signs.

    Parameters
    ----------
    rows : iterable of (str, str, ProofRecord)
        Session, what is known now, and its last verification.
    table, name : bytes, str
        The table beside the page, whose digest binds what is signed, and its name.
    """
    found = list(rows)
    levels = {one.record.get("level") for _, _, one in found if one.record}
    compared = "".join(
        f"<li><em>{level.value}</em>: {escape_text(level.text)}</li>\n"
        for level in ProofLevel
        if level.value in levels
    )
    head = "".join(f"<th>{escape_text(one)}</th>" for one in _HEADS)
    body = "".join(_line(*one) for one in found)
    return (
        "<h2>Proof</h2>\n"
        f"<ul>\n{compared}</ul>\n"
        f"<table>\n<tr>{head}</tr>\n{body}</table>\n"
        f"<p>Written by XNAT-PIC {escape_text(version())}. SHA-256 of <code>{escape_text(name)}"
        f"</code>, which holds the same rows: <code>{bytes_digest(table)}</code></p>\n"
        '<p class="sign">Name: <span></span> Date: <span></span> Signature: <span></span></p>\n'
    )


def _line(session: str, proof: str, one: ProofRecord) -> str:
    values = one.values()
    texts = [session, *(values[name] for name in COLUMNS), proof]
    texts += [str(one.record.get("version", "")), str(one.record.get("user", ""))]
    return f"<tr>{''.join(f'<td>{escape_text(text)}</td>' for text in texts)}</tr>\n"
