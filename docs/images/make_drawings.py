"""Draw ``architecture.svg`` and ``flow.svg``: ``python docs/images/make_drawings.py``.

The rows of the architecture are the layers of the import contract in ``pyproject.toml``; the arrows
are the imports that there are, which a test compares with the code.
"""

import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FONT = "font-family=\"'Segoe UI', 'Helvetica Neue', Arial, sans-serif\""
INK, SOFT, LINE, PAPER = "#1d2733", "#52606d", "#8a97a5", "#ffffff"
FILL = {"top": "#fdf1dc", "window": "#e9e4f7", "middle": "#dcecf8", "ground": "#e2f1e4"}
JOBS = {
    "sandbox": "try it without scanner or server: archive, digital mouse, demo",
    "uploader.gui": "the desktop app; Qt here and nowhere else",
    "mri2dicom": "vendor raw data to DICOM",
    "uploader": "plan, check, send, verify, report",
    "pipelines": "maps, regions, project tables",
    "private_dictionaries": "private DICOM tags as data",
    "xnat_config": "what our XNAT looks like, as data; its client",
    "xnat_pic": "errors, commands, text, files, tables, UIDs, version",
}
# Who imports whom, below the sandbox, which may use all of them, and above the floor of all.
ARROWS = (
    ("uploader.gui", "mri2dicom"),
    ("uploader.gui", "uploader"),
    ("uploader.gui", "private_dictionaries"),
    ("uploader.gui", "xnat_config"),
    ("mri2dicom", "private_dictionaries"),
    ("uploader", "private_dictionaries"),
    ("uploader", "xnat_config"),
    ("pipelines", "private_dictionaries"),
    ("pipelines", "xnat_config"),
)
Box = tuple[int, int, int, int]


def layers() -> list[list[str]]:
    """Return the layers of the import contract, from the top."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = table["tool"]["importlinter"]["contracts"]
    rows = next(one["layers"] for one in contracts if one["type"] == "layers")
    return [[name.strip() for name in row.split("|")] for row in rows]


def _svg(width: int, height: int, title: str, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" {FONT}>\n<title>{escape(title)}</title>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto-start-reverse"><path d="M0 0.5 L8 4 L0 7.5 z" '
        f'fill="{SOFT}"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, words: str, size: int = 13, **style: str) -> str:
    given = {"text-anchor": "middle", "fill": INK} | {
        k.replace("_", "-"): v for k, v in style.items()
    }
    marks = " ".join(f'{key}="{value}"' for key, value in given.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" {marks}>{escape(words)}</text>'


def _box(box: Box, name: str, job: str, fill: str) -> str:
    x, y, width, height = box
    middle = x + width / 2
    lines = _wrapped(job, width // 7)
    first = y + height / 2 - 8 * len(lines) + 4
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{fill}" '
        f'stroke="{LINE}" data-name="{escape(name)}"/>',
        _text(middle, first, name, 15, font_weight="600"),
    ]
    parts += [
        _text(middle, first + 18 + 15 * n, line, 12, fill=SOFT) for n, line in enumerate(lines)
    ]
    return "\n".join(parts)


def _wrapped(words: str, room: int) -> list[str]:
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) >= room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _arrow(points: Sequence[tuple[float, float]], **marks: str) -> str:
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
    said = "".join(f' data-{key.rstrip("_")}="{value}"' for key, value in marks.items())
    return (
        f'<path d="{path}" fill="none" stroke="{SOFT}" stroke-width="1.4" '
        f'marker-end="url(#tip)"{said}/>'
    )


def architecture() -> str:
    """Return the drawing of the packages."""
    top, middle, ground, floor = layers()
    boxes: dict[str, Box] = {top[0]: (20, 20, 840, 62)}
    boxes["uploader.gui"] = (170, 122, 250, 62)
    boxes |= {name: (20 + 290 * n, 232, 260, 66) for n, name in enumerate(middle)}
    boxes |= {name: (90 + 410 * n, 370, 290, 66) for n, name in enumerate(ground)}
    boxes[floor[0]] = (20, 462, 840, 56)
    fills = dict.fromkeys(top, "top") | {"uploader.gui": "window"}
    fills |= dict.fromkeys(middle, "middle") | dict.fromkeys(ground, "ground")
    fills[floor[0]] = "ground"
    parts = [_box(box, name, JOBS[name], FILL[fills[name]]) for name, box in boxes.items()]
    lanes = {
        ("uploader.gui", "mri2dicom"): [(230, 184), (230, 232)],
        ("uploader.gui", "uploader"): [(370, 184), (370, 232)],
        ("uploader.gui", "private_dictionaries"): [(295, 184), (295, 370)],
        ("uploader.gui", "xnat_config"): [(420, 153), (585, 153), (585, 370)],
        ("mri2dicom", "private_dictionaries"): [(150, 298), (150, 370)],
        ("uploader", "private_dictionaries"): [(470, 298), (470, 316), (325, 316), (325, 370)],
        ("uploader", "xnat_config"): [(530, 298), (530, 370)],
        ("pipelines", "private_dictionaries"): [(650, 298), (650, 334), (350, 334), (350, 370)],
        ("pipelines", "xnat_config"): [(740, 298), (740, 370)],
    }
    parts += [_arrow(lanes[pair], from_=pair[0], to=pair[1]) for pair in ARROWS]
    parts += [_arrow([(x, 82), (x, y)]) for x, y in ((60, 232), (510, 232), (800, 232))]
    parts.append(_text(655, 108, "public functions of all; nobody imports it", 12, fill=SOFT))
    parts.append(_text(440, 452, "all of them stand on it", 12, fill=SOFT))
    parts.append(
        _text(
            440,
            542,
            "An arrow means: imports. No package knows another of its own row.",
            12,
            fill=SOFT,
        )
    )
    return _svg(880, 560, "The packages of XNAT-PIC and who imports whom", parts)


def flow() -> str:
    """Return the drawing of the way of the data."""
    data, work = FILL["ground"], FILL["middle"]
    y, height = 40, 74
    steps = [
        ("Scanner folder", "ParaVision, Inveon, IVIS", data),
        ("mri2dicom", "convert", work),
        ("DICOM", "one folder a series", data),
        ("uploader", "plan, check, send, verify", work),
        ("XNAT", "yours, or the sandbox", FILL["top"]),
    ]
    width, pitch = 148, 180
    parts = [
        _box((20 + pitch * n, y, width, height), name, job, fill)
        for n, (name, job, fill) in enumerate(steps)
    ]
    parts += [
        _arrow([(20 + pitch * n + width, y + height / 2), (20 + pitch * (n + 1), y + height / 2)])
        for n in range(len(steps) - 1)
    ]
    lower = 190
    made = [
        ("Run Pipeline", "T1, T2, diffusion, CEST maps with a report", work),
        ("OHIF viewer", "a person draws regions", FILL["window"]),
        ("Mask Average", "every map inside every region", work),
        ("Project summary", "groups over time, with intervals", data),
    ]
    wide, apart = 186, 222
    parts += [
        _box((20 + apart * n, lower, wide, height), name, job, fill)
        for n, (name, job, fill) in enumerate(made)
    ]
    parts += [
        _arrow(
            [
                (20 + apart * n + wide, lower + height / 2),
                (20 + apart * (n + 1), lower + height / 2),
            ]
        )
        for n in range(len(made) - 1)
    ]
    xnat = 20 + pitch * 4 + width / 2
    parts.append(_arrow([(xnat, y + height), (xnat, 152), (113, 152), (113, lower)]))
    parts.append(
        _text(
            480,
            146,
            "on one session, or on every session of a project; results go back into XNAT",
            12,
            fill=SOFT,
        )
    )
    return _svg(908, 294, "From the scanner to numbers by group", parts)


DRAWINGS = {"architecture.svg": architecture, "flow.svg": flow}


def main() -> None:
    """Write both drawings beside this file."""
    for name, draw in DRAWINGS.items():
        (HERE / name).write_text(draw(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
