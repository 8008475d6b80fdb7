r"""Write descriptors of the classic pipeline engine from the table.

The engine puts a command together as text and gives it to ``sh -c``. Values therefore leave the
descriptor as quoted words of the shell: an XPath expression sets every value between single quotes
and writes a quote inside as ``'\''``. The engine leaves a value that begins and ends with a quote
as it is, so that blanks, quotes, ``$(...)``, backticks, line ends and any letters arrive unchanged
and nothing in them is run. An option and its value are one word (``--model='2p'``), so that an
empty value takes nothing from its neighbour.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .table import Catalog, Input, Pipeline

NAMESPACE = "http://nrg.wustl.edu/pipeline"
RESOURCES = "resources"
MAKE_FOLDERS = "make_folders"
_WORK, _LOGS = "workdir", "logdir"
# Options beside the inputs: name, parameter of the engine, description, whether it is masked.
_FIXED = (
    ("host", "host", "Address of XNAT", False),
    ("alias", "user", "Short-lived alias token that the server issued for this run", True),
    ("secret", "pwd", "Secret of the token", True),
    ("project", "project", "Project", False),
    ("session", "id", "Session that the run was started from", False),
    ("label", "label", "Label of the session", False),
    ("workflow", "workflowid", "XNAT's record of the run", False),
    ("mail-to", "useremail", "Who started the run", False),
)


def descriptor(catalog: Catalog, pipeline: Pipeline) -> str:
    """Return the descriptor of a pipeline as XML."""
    root = Element("Pipeline", {"xmlns": NAMESPACE})
    _add(root, "name", pipeline.name)
    _add(root, "location", catalog.folder)
    _add(root, "description", pipeline.description)
    _documentation(root, catalog, pipeline)
    info = _add(root, "xnatInfo", appliesTo=pipeline.applies_to)
    _add(_add(info, "generatesElements"), "element", "xnat:resourceCatalog")
    logs = _last(_LOGS)
    _add(root, "outputFileNamePrefix", f"^concat({logs},'/{pipeline.name}')^")
    parameters = _add(root, "parameters")
    _parameter(parameters, _WORK, f"^concat({_last('builddir')},'/',{_last('label')})^")
    _parameter(parameters, _LOGS, f"^concat({_last('builddir')},'/',{_last('label')},'/LOGS')^")
    steps = _add(root, "steps")
    first = _add(steps, "step", id="1", description="Make the work folder")
    folders = _add(first, "resource", name=MAKE_FOLDERS, location=f"{catalog.folder}/{RESOURCES}")
    _argument(folders, "parents")
    _argument(folders, "folder", _quoted(f"concat({_last(_WORK)},'/WORK')"))
    _step(steps, catalog, pipeline)
    return _text(root)


def resource(catalog: Catalog, pipeline: Pipeline, location: str = "") -> str:
    """Return the description of a pipeline's step program as XML.

    Parameters
    ----------
    catalog, pipeline
        Which one.
    location : str
        Folder of the program; empty where it is found on the path of the engine.
    """
    about = f"Runs {pipeline.name}: {pipeline.description}"
    root = _resource(catalog.program, about, location)
    listed = _add(root, "input")
    _option(listed, "command", "What the program is to do")
    _option(listed, "pipeline", "Which pipeline")
    for name, _, about, masked in _FIXED:
        _option(listed, name, about, f"--{name}=", masked)
    _option(listed, _WORK, "Folder of the run, emptied at its good end", "--workdir=")
    for one in pipeline.inputs:
        _option(listed, one.name, one.label, one.option + "=")
    return _text(root)


def make_folders() -> str:
    """Return the description of the program that makes folders as XML."""
    root = _resource("mkdir", "Makes a folder and those above it", "")
    listed = _add(root, "input")
    _option(listed, "parents", "Those above it too", "-p")
    _option(listed, "folder", "The folder")
    return _text(root)


def _documentation(root: Element, catalog: Catalog, pipeline: Pipeline) -> None:
    about = _add(root, "documentation", appliesTo=pipeline.applies_to)
    authors = _add(about, "authors")
    for name in catalog.authors:
        first, _, last = name.rpartition(" ")
        author = _add(authors, "author")
        _add(author, "lastname", last)
        _add(author, "firstname", first)
    published = _add(about, "publications")
    for text in catalog.publications:
        _add(published, "publication", text)
    _add(about, "version", catalog.version)
    questions = _add(about, "input-parameters")
    for one in pipeline.inputs:
        parameter = _add(questions, "parameter")
        _add(parameter, "name", one.form)
        values = _add(parameter, "values")
        if one.link:
            _add(values, "schemalink", one.link)
        else:
            _add(values, "csv", ",".join(one.shown))
        _add(parameter, "description", one.help)


def _step(steps: Element, catalog: Catalog, pipeline: Pipeline) -> None:
    step = _add(
        steps,
        "step",
        id="2",
        description="Find and fetch the scans, process them, send the results",
    )
    if pipeline.level == "project":
        step.set("description", "Process every session of the project, send the results")
    called = _add(
        step, "resource", name=f"{pipeline.name}_step", location=f"{catalog.folder}/{RESOURCES}"
    )
    _argument(called, "command", "step")
    _argument(called, "pipeline", pipeline.name)
    for name, parameter, _, _ in _FIXED:
        _argument(called, name, _quoted(f"string({_last(parameter)})"))
    _argument(called, _WORK, _quoted(f"concat({_last(_WORK)},'/WORK')"))
    for one in pipeline.inputs:
        _argument(called, one.name, _quoted(_value(one)))


def _value(one: Input) -> str:
    """Return the XPath of an input's value: one text of all that was launched with.

    The step tells where more than one was ticked of which only one can be.
    """
    return f"string-join(/Pipeline/parameters/parameter[name='{one.form}']/values/*,',')"


def _last(name: str) -> str:
    return f"/Pipeline/parameters/parameter[name='{name}'][last()]/values/unique/text()"


def _quoted(xpath: str) -> str:
    """Return the expression of a value as one word of the shell."""
    return f"""^concat("'",replace({xpath},"'","'\\\\''"),"'")^"""


def _resource(name: str, about: str, location: str) -> Element:
    root = Element("Resource", {"xmlns": NAMESPACE})
    _add(root, "name", name)
    if location:
        _add(root, "location", location)
    _add(root, "type", "Executable")
    _add(root, "description", about)
    return root


def _option(parent: Element, name: str, about: str, option: str = "", masked: bool = False) -> None:
    argument = _add(parent, "argument", id=name)
    if option.startswith("--"):
        argument.set("prefix", "--")
    if option.endswith("="):
        argument.set("nospace", "true")
    if masked:
        argument.set("isSensitive", "true")
    if option:
        _add(argument, "name", option.lstrip("-"))
    _add(argument, "description", about)


def _parameter(parent: Element, name: str, value: str) -> None:
    parameter = _add(parent, "parameter")
    _add(parameter, "name", name)
    _add(_add(parameter, "values"), "unique", value)


def _argument(parent: Element, name: str, value: str = "") -> None:
    argument = _add(parent, "argument", id=name)
    if value:
        _add(argument, "value", value)


def _add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _text(root: Element) -> str:
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'
