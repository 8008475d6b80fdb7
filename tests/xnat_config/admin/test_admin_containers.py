"""What an administrator is told to look at before containers are started."""

import json

import pytest
from click.testing import CliRunner

from xnat_config.admin.cli import main
from xnat_config.admin.container_settings import container_notes

COMMAND = {"name": "c", "image": "xnat-pic/pipelines:1.0", "xnat": [{"name": "c"}]}
HOST = {"host": "unix:///var/run/docker.sock", "status-email-enabled": True}
RIGHT = {"processingUrl": "http://xnat-web:8080"}
NETWORK = {**COMMAND, "network": "xnat-network"}


@pytest.fixture
def notes(start, login):
    """Set host and site of an archive; return what is told of them."""
    served = start()
    client = login(served)

    def ask(command=NETWORK, site=RIGHT, **host):
        given = {name.replace("_", "-"): value for name, value in host.items()}
        assert served.post("/xapi/docker/server", json=HOST | given).status_code == 201
        assert served.post("/xapi/siteConfig", json=site).status_code == 200
        return container_notes(client, [command])

    return ask


def test_nothing_is_told_of_what_is_right(notes):
    assert notes() == []
    assert notes(site={"processingUrl": "http://10.0.0.7:8080"}) == []
    assert notes(container_user="0") == []


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"container_user": "tomcat"}, "name 'tomcat', which the image does not have"),
        ({"container_user": "1001"}, "must be the user of XNAT's Tomcat"),
        ({"backend": "kubernetes"}, "refuses the image"),
        ({"path_translation_xnat_prefix": "/data"}, "neither counts"),
        ({"host": "tcp://docker.example.org:2376"}, "another machine, docker.example.org"),
        ({"status_email_enabled": False}, "Status mails of containers are off"),
    ],
)
def test_settings_of_the_host(notes, host, words):
    assert any(words in one for one in notes(**host))


@pytest.mark.parametrize(
    ("site", "command", "words"),
    [
        ({"processingUrl": "http://localhost:8080"}, COMMAND, "the container itself"),
        ({"processingUrl": "http://xnat-web:8080"}, COMMAND, "--network NETWORK"),
        ({"processingUrl": "http://xnat.invalid"}, COMMAND, "nothing answers"),
        ({"processingUrl": ""}, COMMAND, "(Site URL), which is the container itself"),
        ({"adminEmail": "administrator@xnat.org"}, NETWORK, "mails nobody"),
        ({"sandboxDockerImages": "other/tool:1"}, NETWORK, "no image xnat-pic/pipelines:1.0"),
    ],
)
def test_settings_of_the_site(notes, site, command, words):
    assert any(words in one for one in notes(command, site=RIGHT | site))


def test_kubernetes_ignores_a_network(notes):
    found = notes(backend="kubernetes", container_user="1001")
    assert any("ignores the network xnat-network" in one for one in found)


@pytest.mark.parametrize("command", ["plan", "status"])
def test_plan_and_status_tell_them_beside_the_table(start, catalog, tmp_path, monkeypatch, command):
    served = start()
    served.post("/xapi/docker/server", json={**HOST, "status-email-enabled": False})
    monkeypatch.setenv("XNAT_PIC_PASSWORD", "admin")
    file = tmp_path / "installation.toml"
    file.write_text('projects = ["P1"]\n', "utf-8")
    words = [command, str(file), "--server", served.url, "--user", "admin", "--json"]
    done = CliRunner().invoke(main, [*words, "--catalog", str(catalog)])
    assert done.exit_code in (0, 8), done.output
    assert "Status mails of containers are off" in done.stderr
    json.loads(done.stdout)
    without = CliRunner().invoke(main, words)
    assert "Status mails" not in without.stderr, "nobody means to run containers"
