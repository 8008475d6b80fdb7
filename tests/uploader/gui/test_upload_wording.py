"""The window does not send people to a command line."""

import ast
import re
from pathlib import Path

import uploader
from uploader.gui.upload.wording import in_window, phrases

COMMANDS = re.compile(r"same command|xnat-pic-uploader login|--(?!dry)[a-z]")
# They make commands, or are said of options that the window does not have.
NOT_SAID = {"cli.py", "access.py", "show.py", "command_parts.py"}


def test_no_sentence_of_the_uploader_names_a_command_in_the_window():
    folder = Path(uploader.__file__).parent
    named = []
    for path in sorted(folder.glob("*.py")):
        if path.name in NOT_SAID or path.name.startswith("commands_"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                texts = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                said = in_window("".join(text for text in texts if isinstance(text, str)))
                if COMMANDS.search(said):
                    named.append(f"{path.name}: {said}")
    assert named == [
        "plan.py: Write it like --set group=treated, in lower-case letters, digits and _."
    ]


def test_every_phrase_is_one_that_is_said():
    root = Path(uploader.__file__).parents[1]
    texts = [
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        .replace("{USER_VARIABLE}", "XNAT_PIC_USER")
        .replace("{CA_VARIABLE}", "XNAT_PIC_CA_BUNDLE")
        for folder in ("uploader", "xnat_config")
        for path in (root / folder).glob("*.py")
    ]
    assert [one for one, _ in phrases() if not any(one in text for text in texts)] == []
