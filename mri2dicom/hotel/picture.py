"""The picture by which a person confirms who was cut out where."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.files import write_file

from .detect import Box

_HEIGHT = 460
_LINE = 20
_COLOURS = ((90, 200, 250), (255, 196, 61), (120, 220, 130), (250, 120, 160), (190, 150, 255))


def write_picture(
    path: Path,
    panels: list[tuple[str, npt.NDArray[Any], tuple[float, float], list[Box]]],
    captions: list[str],
    notes: list[str],
) -> None:
    """Write projections of the bed with a numbered frame about each animal.

    Parameters
    ----------
    path : Path
        A PNG, which appears complete or not at all.
    panels : list of tuple
        Title, image (rows, columns), spacing between rows and columns (mm), boxes.
    captions : list of str
        One for each box: position and subject.
    notes : list of str
        Sentences below.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    drawn = [_panel(image, spacing) for _, image, spacing, _ in panels]
    width = max(sum(one.width + 12 for one in drawn) + 12, 760)
    lines = [*(f"{k}  {text}" for k, text in enumerate(captions, 1)), *notes]
    sheet = Image.new("RGB", (width, _HEIGHT + _LINE * (len(lines) + 3)), "white")
    draw = ImageDraw.Draw(sheet)
    left = 12
    for one, (title, _, _, boxes) in zip(drawn, panels, strict=True):
        draw.text((left, 6), title, fill="black", font=font)
        sheet.paste(one, (left, 6 + _LINE))
        scale = _HEIGHT / one.info["height_mm"]
        middle = (left + one.width / 2, 6 + _LINE + one.height / 2)
        for number, box in enumerate(boxes, 1):
            colour = _COLOURS[(number - 1) % len(_COLOURS)]
            corners = (
                (middle[0] + box.left * scale, middle[1] + box.top * scale),
                (middle[0] + box.right * scale - 1, middle[1] + box.bottom * scale - 1),
            )
            draw.rectangle(corners, outline=colour, width=2)
            draw.text((corners[0][0] + 5, corners[0][1] + 2), str(number), fill=colour, font=font)
        left += one.width + 12
    top = _HEIGHT + 2 * _LINE
    for k, line in enumerate(lines):
        corner = (12, top + k * _LINE)
        colour = _COLOURS[k % len(_COLOURS)] if k < len(captions) else (0, 0, 0)
        if k < len(captions):
            draw.rectangle((12, corner[1] + 3, 22, corner[1] + 14), fill=colour)
            corner = (30, corner[1])
        draw.text(corner, line, fill="black", font=font)
    content = io.BytesIO()
    sheet.save(content, format="PNG")
    write_file(path, content.getvalue())


def _panel(image: npt.NDArray[Any], spacing_mm: tuple[float, float]) -> Any:
    """Return a grey image with square millimetres."""
    from PIL import Image

    top = float(np.percentile(image, 99.5)) or 1.0
    low = float(image.min())
    grey = np.clip((image - low) / max(top - low, 1e-30), 0, 1) * 255
    rows, columns = image.shape
    height_mm, width_mm = rows * spacing_mm[0], columns * spacing_mm[1]
    size = (max(1, round(_HEIGHT * width_mm / height_mm)), _HEIGHT)
    shown = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    shown = shown.convert("RGB")
    shown.info["height_mm"] = height_mm
    return shown
