"""Links in the documents lead somewhere, and no text names one machine's folders."""

import re
from urllib.parse import unquote

import pytest

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?\s*$", re.MULTILINE)
HTML = re.compile(r"""(?:src|href)=["']([^"']+)["']""")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)

# Folders of one machine: a home, a work folder at the root, a user's folder of macOS or Windows.
# nmr and nmrsu are the logins of every ParaVision console.
MACHINE = re.compile(
    r"(?<![\w.$}\])-])/(?:work|root)/\w"
    r"|(?<![\w.$}\])-])/(?:home|Users)/(?!nmr\b|nmrsu\b)\w"
    r"|[A-Za-z]:\\+Users\\+\w"
)


def anchors(text):
    """Anchors a page's headings get on GitHub."""
    plain = [re.sub(r"[`*]", "", heading).lower() for heading in HEADING.findall(text)]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(page, root):
    """Links of a Markdown page to files or headings that are not there."""
    text = page.read_text(encoding="utf-8")
    prose = INLINE_CODE.sub("", FENCE.sub("", text))
    targets = LINK.findall(prose) + REFERENCE.findall(prose) + HTML.findall(prose)
    broken = []
    for target in targets:
        if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
            continue
        name, _, anchor = unquote(target).partition("#")
        base = root if name.startswith("/") else page.parent
        file = (base / name.lstrip("/")).resolve() if name else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md":
            body = FENCE.sub("", file.read_text(encoding="utf-8"))
            if anchor not in anchors(body):
                broken.append(target)
    return broken


def test_links_resolve(committed_files, root):
    pages = [path for path in committed_files if path.suffix == ".md"]
    assert root / "README.md" in pages
    broken = {page.relative_to(root).as_posix(): broken_links(page, root) for page in pages}
    assert {page: links for page, links in broken.items() if links} == {}


def test_every_picture_is_shown_by_a_page(committed_files, root):
    pages = [path for path in committed_files if path.suffix == ".md"]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    shown = {target.rpartition("/")[2] for target in LINK.findall(text)}
    folder = root / "docs" / "images"
    pictures = {one.name for one in committed_files if one.parent == folder}
    pictures = {name for name in pictures if name.endswith((".png", ".svg"))}
    assert pictures
    assert pictures - shown == set()


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "b.md").write_text("# The *first* one\n", encoding="utf-8")
    page = tmp_path / "a.md"
    page.write_text(
        "[a](b.md) [b](b.md#the-first-one) [c](b.md#second) [d](c.md) ![e](img/e.png)\n"
        "[w](https://example.org) `[code](d.md)`\n[r]: missing.md\n"
        "```\n[in a fence](e.md)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(page, tmp_path) == ["b.md#second", "c.md", "img/e.png", "missing.md"]


def test_no_text_names_a_machine(committed_files, root):
    found = {}
    for path in committed_files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = [n for n, line in enumerate(text.splitlines(), 1) if MACHINE.search(line)]
        if lines:
            found[path.relative_to(root).as_posix()] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cd /" + "work/main", True),
        ("cd /" + "home/somebody/x", True),
        ("'/" + "Users/somebody'", True),
        ("C:\\" + "Users\\somebody", True),
        ("/opt/PV6.0.1/data/nmrsu", False),
        ("/" + "home/nmrsu/data", False),
        ("/data/xnat/home/plugins", False),
        ("${BASE}/work/cache", False),
        ("https://example.org/home/a", False),
    ],
)
def test_what_counts_as_a_machines_folder(text, named):
    assert (MACHINE.search(text) is not None) == named


def test_every_test_that_the_security_page_names_is_there(root):
    page = (root / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    rows = [line for line in page[page.index("## Threats") :].splitlines() if "tests/" in line]
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(rows) >= 15
    assert len(named) >= len(rows)
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (root / path).is_file()
        or not re.search(rf"^def {name}\(", (root / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []
