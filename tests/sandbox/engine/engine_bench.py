"""A served archive that runs descriptors, and short ways to write them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from archive_server import Served

from sandbox.archive import workflows

P = "{http://nrg.wustl.edu/pipeline}"
_OPEN = "xmlns='http://nrg.wustl.edu/pipeline'"
PATIENCE_S = 180.0


def parameter(name: str, prefix: str = "/", tail: str = "text()") -> str:
    """Return the XPath of a parameter's only value."""
    return f"{prefix}Pipeline/parameters/parameter[name='{name}']/values/unique/{tail}"


def resource(program: str, *arguments: str, location: str = "", kind: str = "Executable") -> str:
    """Return the description of a program; arguments are elements."""
    where = f"<location>{escape(location)}</location>" if location else ""
    return (
        f"<Resource {_OPEN}><name>{escape(program)}</name>{where}<type>{kind}</type>"
        f"<description>x</description><input>{''.join(arguments)}</input></Resource>"
    )


def argument(key: str, name: str = "", **attributes: str) -> str:
    """Return an argument of a program."""
    more = "".join(f" {one}={quoteattr(value)}" for one, value in attributes.items())
    told = f"<name>{escape(name)}</name>" if name else ""
    return f"<argument id={quoteattr(key)}{more}>{told}<description>x</description></argument>"


def call(name: str, **values: str | list[str] | None) -> str:
    """Return the call of a program with values; None for an argument without one."""
    inner = ""
    for key, given in values.items():
        listed = [] if given is None else [given] if isinstance(given, str) else given
        told = "".join(f"<value>{escape(one)}</value>" for one in listed)
        inner += f"<argument id={quoteattr(key)}>{told}</argument>"
    return f"<resource name={quoteattr(name)} location='demo/resources'>{inner}</resource>"


def step(key: str, *calls: str, **attributes: str) -> str:
    """Return a step."""
    more = "".join(f" {one}={quoteattr(value)}" for one, value in attributes.items())
    return f"<step id={quoteattr(key)} description='step {key}'{more}>{''.join(calls)}</step>"


def pipeline(*steps: str, head: str = "", parameters: str = "", name: str = "Demo") -> str:
    """Return a descriptor whose logs lie in the folder of the run."""
    prefix = f"^concat({parameter('builddir')},'/LOGS/{name}')^"
    return (
        f"<Pipeline {_OPEN}><name>{name}</name><location>demo</location>"
        f"<description>x</description><xnatInfo appliesTo='xnat:mrSessionData'/>"
        f"<outputFileNamePrefix>{escape(prefix)}</outputFileNamePrefix>{head}"
        f"<parameters>{parameters}</parameters><steps>{''.join(steps)}</steps></Pipeline>"
    )


def declared(name: str, *values: str) -> str:
    """Return a parameter of a descriptor."""
    tag = "unique" if len(values) == 1 else "list"
    told = "".join(f"<{tag}>{escape(one)}</{tag}>" for one in values)
    return f"<parameter><name>{name}</name><values>{told}</values></parameter>"


@dataclass
class Ended:
    """A run at its end: its record and what it left."""

    status: str
    fields: dict[str, str]
    folder: Path
    number: str

    @property
    def build(self) -> Path:
        """Folder that the steps work in."""
        return self.folder / "build"

    @property
    def log(self) -> str:
        """What the steps said."""
        return self._read("*.log")

    @property
    def err(self) -> str:
        """What went wrong in them."""
        return self._read("*.err")

    @property
    def reason(self) -> str:
        """What the engine says in its own log of a run that ended."""
        path = self.folder / "engine.log"
        return path.read_text("utf-8") if path.is_file() else ""

    @property
    def steps(self) -> dict[str, str]:
        """State of each instance of a step."""
        (path,) = self.build.glob("**/LOGS/*_*.xml")
        root = ElementTree.parse(path).getroot()
        return {one.get("id", ""): one.get("status", "") for one in root.iter(f"{P}ResolvedStep")}

    def _read(self, pattern: str) -> str:
        return "".join(one.read_text("utf-8") for one in self.build.glob(f"**/LOGS/{pattern}"))


@dataclass
class Bench:
    """An archive with one session, and a catalog of pipelines."""

    served: Served
    session: str
    catalog: Path
    written: dict[str, str] = field(default_factory=dict)

    def write(self, descriptor: str, resources: dict[str, str], name: str = "Demo") -> None:
        """Write a pipeline into the catalog and let the project use it."""
        folder = self.catalog / "demo" / "resources"
        folder.mkdir(parents=True, exist_ok=True)
        for key, text in resources.items():
            (folder / f"{key}.xml").write_text(text, "utf-8")
        (folder.parent / f"{name}.xml").write_text(descriptor, "utf-8")
        self.use(self.catalog)

    def use(self, catalog: Path) -> None:
        """Offer a catalog and let the project use all of it."""
        answer = self.served.post(
            "/sandbox/pipelines", params={"folder": str(catalog), "project": "P1"}
        )
        assert answer.status_code == 200, answer.text

    def launch(self, name: str = "Demo", **parameters: str) -> str:
        """Launch a pipeline by REST; return the number of the run."""
        path = f"/data/projects/P1/pipelines/{name}/experiments/{self.session}"
        answer = self.served.post(path, params=parameters)
        assert (answer.status_code, answer.text) == (200, ""), answer.text
        return self.latest()

    def latest(self) -> str:
        """Return the number of the latest run."""
        with self.served.archive.database.read() as connection:
            (found,) = workflows.find(connection, {"id": self.session}, limit=1)
        return str(found.pk)

    def state(self, number: str) -> dict[str, str]:
        """Return the record of a run."""
        answer = self.served.get(f"/data/workflows/{number}")
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()["items"][0]["data_fields"]
        return found

    def page(self, number: str, wanted: str) -> str:
        """Return the page of a run when it holds a text, such as a mail that follows the end."""
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in (text := self.served.get(f"/runs/{number}").text):
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text

    def end(self, number: str) -> Ended:
        """Wait for the end of a run; one that never began stays Queued."""
        deadline = time.monotonic() + PATIENCE_S
        folder = self.served.archive.folder / "runs" / number
        while True:
            found = self.state(number)
            if found["status"].startswith(("Complete", "Failed", "Killed")):
                break
            if found["status"] == "Queued" and (folder / "engine.log").is_file():
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return Ended(found["status"], found, folder, number)

    def run(self, descriptor: str, resources: dict[str, str], **parameters: str) -> Ended:
        """Write a pipeline, launch it and wait for its end."""
        self.write(descriptor, resources)
        return self.end(self.launch(**parameters))
