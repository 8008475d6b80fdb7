"""An archive with a mouse, and the runner of container commands."""

import json
import sys
from importlib import resources
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "archive"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engine"))

from archive_server import serving
from engine_bench import Bench
from mouse_session import fill_mouse, make_mouse

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive


def read_command(name):
    """Return a committed command."""
    folder = resources.files("pipelines.catalog") / "containers"
    return json.loads(folder.joinpath(f"{name}.json").read_text("utf-8"))


@pytest.fixture
def committed():
    """Return committed commands by name."""
    return read_command


@pytest.fixture(scope="module")
def mouse(tmp_path_factory):
    """A mouse as DICOM."""
    return make_mouse(tmp_path_factory.mktemp("mouse"))


class Containers(Bench):
    """Adds commands and launches them."""

    def add(self, command, project="P1"):
        """Add a command and enable its wrapper; return the wrapper's number."""
        answer = self.served.post("/xapi/commands", json=command)
        assert answer.status_code == 201, answer.text
        made = self.served.get(f"/xapi/commands/{answer.json()}").json()
        wrapper = made["xnat"][0]
        path = f"commands/{answer.json()}/wrappers/{wrapper['name']}/enabled"
        for where in (path, f"projects/{project}/{path}"):
            assert self.served.put(f"/xapi/{where}").status_code == 200
        return int(wrapper["id"])

    def start(self, wrapper, **given):
        """Launch a wrapper; return the answer."""
        root = next(iter(given))
        path = f"/xapi/projects/P1/wrappers/{wrapper}/root/{root}/launch"
        return self.served.post(path, json=given).json()

    def prefer(self, **values):
        """Set preferences of the site."""
        assert self.served.post("/xapi/siteConfig", json=values).status_code == 200

    def host(self, **values):
        """Set the Docker host; mails are sent unless they are turned off."""
        known = {"host": "unix:///var/run/docker.sock", "status-email-enabled": True}
        body = known | {name.replace("_", "-"): value for name, value in values.items()}
        assert self.served.post("/xapi/docker/server", json=body).status_code == 201

    def log(self, ended, name="stderr"):
        """Return what a container wrote."""
        return self.served.get(f"/xapi/containers/{ended.number}/logs/{name}").text

    def done(self, command, **given):
        """Add and launch a command, wait for its end."""
        answer = self.start(self.add(command), **given)
        assert answer["status"] == "success", answer
        return self.end(answer["workflow-id"])

    def names(self, path):
        """Return the names of the files below a path."""
        answer = self.served.get(f"{path}/files", params={"format": "json"})
        if answer.status_code == 404:
            return []
        return sorted(
            row["URI"].partition("/files/")[2] for row in answer.json()["ResultSet"]["Result"]
        )


@pytest.fixture(scope="module")
def containers(mouse, tmp_path_factory):
    """An archive with the mouse."""
    folder = tmp_path_factory.mktemp("containers")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with serving(Archive(folder / "archive")) as served:
            yield Containers(served, fill_mouse(served, mouse), folder / "catalog")
