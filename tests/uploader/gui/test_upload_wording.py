"""The window does not send people to a command line."""

import ast
import re
import tomllib
from pathlib import Path

import uploader
from uploader.gui import translation
from uploader.gui.upload.wording import phrases, window_error_text, window_text
from uploader.planning.labels import label_findings
from uploader.planning.plan import PlanRow
from uploader.verification.content_check import ContentReport, content_notes
from xnat_config import load_config
from xnat_pic.errors import LoginError

COMMANDS = re.compile(r"same command|xnat-pic-uploader login|--(?!dry)[a-z]")
# They make commands, or are the window itself.
NOT_SAID = ("cli", "gui")

EXPIRED = LoginError(
    "The stored login has expired.",
    hint="Log in again, or start the run again: what is done stays.",
)


def test_no_sentence_of_the_uploader_names_a_command_in_the_window():
    folder = Path(uploader.__file__).parent
    named = []
    for path in sorted(folder.rglob("*.py")):
        if path.relative_to(folder).parts[0] in NOT_SAID:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                texts = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                said = window_text("".join(text for text in texts if isinstance(text, str)))
                if COMMANDS.search(said):
                    named.append(f"{path.name}: {said}")
    assert named == [
        "plan_building.py: Write it like --set group=treated, in lower-case letters, digits and _."
    ]


def test_every_phrase_is_one_that_is_said():
    root = Path(uploader.__file__).parents[1]
    texts = [
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        .replace("{USER_VARIABLE}", "XNAT_PIC_USER")
        .replace("{CA_VARIABLE}", "XNAT_PIC_CA_BUNDLE")
        for folder in ("uploader", "xnat_config")
        for path in (root / folder).rglob("*.py")
        if path.relative_to(root).parts[1] not in ("gui", "admin")
    ]
    assert [one for one, _ in phrases() if not any(one in text for text in texts)] == []


def test_italian_window_says_errors_and_findings_in_italian(tmp_path):
    translation.choose("it")
    assert window_error_text(EXPIRED) == (
        "L'accesso memorizzato è scaduto. Accedi di nuovo: il caricamento prosegue."
    )
    bad = PlanRow(
        key="a", include=True, source="a", project="P1", subject="m/1", session="m_1", modality="MR"
    )
    rules = load_config(environ={"XNAT_PIC_HOME": str(tmp_path)}).labels
    (finding,) = label_findings([bad], rules)["a"]
    assert window_text(finding.message) == (
        "Il soggetto 'm/1' ha caratteri che XNAT non conserva. Scrivi 'm_1' o un altro nome di "
        f"lettere, cifre, _ e -, al massimo {rules.max_length} caratteri."
    )
    translation.choose("en")
    assert window_text(finding.message) == finding.message


def test_italian_window_says_what_was_proved():
    translation.choose("it")
    found = ContentReport(pixels=3, contents=1, rewritten={"PatientID", "StudyDescription"})
    assert [window_text(note) for note in content_notes(found)] == [
        "Riscritti dal server, con pixel decodificati uguali: 3.",
        "Riscritti dal server, senza pixel e di contenuto uguale: 1.",
        "Altri valori nelle intestazioni sul server: PatientID, StudyDescription.",
    ]
    problem = (
        "Series 3 (T2): 2 of 9 files are not as on disk: other pixels (SOP Instance UID 1.2, 1.3). "
        "Look at them in XNAT; upload --repair replaces them by the files on disk."
    )
    assert window_text(problem) == (
        "Series 3 (T2): 2 file su 9 non sono come sul disco: other pixels "
        "(SOP Instance UID 1.2, 1.3). Guardali in XNAT; Carica con l'opzione Sostituisci ciò che "
        "è diverso sul server li sostituisce."
    )


def test_every_italian_sentence_translates_one_that_is_said():
    folder = Path(uploader.__file__).parent
    texts = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for package in ("uploader", "xnat_config")
        for path in (folder.parent / package).rglob("*.py")
    )
    said = [window_text(texts), *(window for _, window in phrases())]
    table = tomllib.loads((folder / "gui/upload/italian.toml").read_text(encoding="utf-8"))
    for row in table["sentence"]:
        places = re.findall(r"\{(\w+)\}", row["english"])
        assert sorted(places) == sorted(re.findall(r"\{(\w+)\}", row["italian"])), row
        assert (folder.parent / row["source"]).is_file()
        longest = max(re.split(r"\{\w+\}|[.:,]", row["english"]), key=len).strip()
        assert any(longest.casefold() in text.casefold() for text in said), longest


def test_window_says_how_an_account_of_a_directory_logs_in():
    hint = (
        "Check user and password; after many failures XNAT locks an account for a while. An "
        "account of a directory needs its method at the first login: --auth-method ldap, or "
        "XNAT_PIC_AUTH_METHOD=ldap."
    )
    refused = LoginError("x.org refuses the login of ann.", hint=hint)
    assert "--auth-method" not in window_error_text(refused)
    translation.choose("it")
    said = window_error_text(refused)
    translation.choose("en")
    assert said.endswith("al primo accesso: scrivi ldap come Metodo di autenticazione.")
