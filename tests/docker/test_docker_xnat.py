"""The files of docker-xnat, as far as they can be proved without a container engine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from configparser import ConfigParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from programs import need_program

from pipelines.cli import main as export
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sandbox" / "archive"))

from archive_server import serving

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("make-env", "fetch", "set-admin-password", "backup", "restore", "xnat/entrypoint.sh")
SCRIPTS = (*SCRIPTS, "postgres/make-user.sh", "../pipelines/run-as-mount-owner")
CHOICES = ("--site", "https://xnat.example.org", "--email", "admin@example.org")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="shell scripts")


@pytest.fixture
def stack(tmp_path):
    """A copy of the folder, beside an empty folder for data."""
    target = tmp_path / "docker-xnat"
    shutil.copytree(ROOT / "docker-xnat", target, ignore=shutil.ignore_patterns(".env*"))
    (tmp_path / "data").mkdir()
    return target


def run(stack, *words, path="", **more):
    environment = {
        "PATH": f"{path}{os.pathsep}{os.environ['PATH']}" if path else os.environ["PATH"]
    }
    return subprocess.run(
        [str(word) for word in words], cwd=stack, env=environment | more,
        capture_output=True, text=True, encoding="utf-8", timeout=60,
    )  # fmt: skip


def make_env(stack, *more):
    done = run(stack, "./make-env", "--data", stack.parent / "data", *CHOICES, *more)
    assert done.returncode == 0, done.stderr
    return dict(
        line.split("=", 1)
        for line in (stack / ".env").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )


def config(stack):
    done = run(stack, need_program("docker-compose"), "config")
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.mark.tool
def test_scripts_pass_shellcheck():
    done = run(ROOT / "docker-xnat", need_program("shellcheck"), *SCRIPTS)
    assert done.returncode == 0, done.stdout
    for name in SCRIPTS:
        assert (ROOT / "docker-xnat" / name).stat().st_mode & stat.S_IXUSR


def test_passwords_are_fresh_and_secret(stack):
    first = make_env(stack)
    names = [name for name in first if name.endswith("_PASSWORD")]
    assert len(names) == 3
    values = {first[name] for name in names}
    assert len(values) == 3
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
    assert stat.S_IMODE((stack / ".env").stat().st_mode) == 0o600
    before = (stack / ".env").read_bytes()
    again = run(stack, "./make-env", "--data", "/srv/x", *CHOICES)
    assert again.returncode == 2
    assert "already" in again.stderr
    assert (stack / ".env").read_bytes() == before
    (stack / ".env").unlink()
    assert values.isdisjoint(make_env(stack).values())


def test_no_password_is_in_the_files():
    for path in (ROOT / "docker-xnat").rglob("*"):
        if not path.is_file() or path.name.startswith(".env"):
            continue
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"PASSWORD[=:]\s*([^\s$'\"?%][^\s'\"]*)", text)
        assert found == [], path
    # The one that every new XNAT has is in the script that ends it, and nowhere else.
    assert "admin:admin" in (ROOT / "docker-xnat" / "set-admin-password").read_text("utf-8")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--data", "relative", *CHOICES),
        ("--data", "/srv/x y", *CHOICES),
        ("--data", "/srv/x$(id)", *CHOICES),
        ("--data", "/srv/x\nDB_PASSWORD=1", *CHOICES),
        ("--data", "/srv/x", "--site", "xnat.example.org", "--email", "a@example.org"),
        ("--data", "/srv/x", *CHOICES, "--tls", "/c.pem"),
        ("--data", "/srv/x", *CHOICES, "--unknown"),
        ("--versions",),
    ],
)
def test_make_env_refuses(stack, words):
    done = run(stack, "./make-env", *words)
    assert done.returncode == 2
    assert done.stderr
    assert not (stack / ".env").exists()


def test_versions_are_renewed_and_choices_kept(stack):
    before = make_env(stack, "--no-containers")
    table = stack / "versions.env"
    text = table.read_text(encoding="utf-8").replace(
        "postgres:16.9-alpine", "postgres:16.10-alpine"
    )
    table.write_text(text, encoding="utf-8")
    assert run(stack, "./make-env", "--versions").returncode == 0
    after = dict(
        line.split("=", 1)
        for line in (stack / ".env").read_text(encoding="utf-8").splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert after.pop("POSTGRES_IMAGE") == "postgres:16.10-alpine"
    assert before.pop("POSTGRES_IMAGE") == "postgres:16.9-alpine"
    assert after == before
    assert stat.S_IMODE((stack / ".env").stat().st_mode) == 0o600


@pytest.mark.tool
def test_compose_accepts_the_plain_stack(stack):
    make_env(stack)
    services = config(stack)["services"]
    assert set(services) == {"xnat-db", "xnat-web", "proxy", "pipelines"}
    for name in ("xnat-db", "xnat-web", "proxy"):
        assert services[name]["healthcheck"]["test"], name
        assert services[name]["restart"] == "unless-stopped"
    # Nothing listens beyond this machine unless somebody says so; the database nowhere.
    ports = [str(port) for one in services.values() for port in one.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert list(services["xnat-db"]["networks"]) == ["inside"]
    assert config(stack)["networks"]["inside"]["internal"] is True
    assert services["pipelines"]["profiles"] == ["build"]
    assert all(":latest" not in one["image"] for one in services.values())


@pytest.mark.tool
def test_compose_accepts_every_override(stack):
    more = ("--tls", "/etc/c.pem", "/etc/k.pem", "--engine", "/srv/engine", "https://e.org/p.jar")
    make_env(stack, *more)
    services = config(stack)["services"]
    mounts = [v.split(":")[1] for v in services["proxy"]["volumes"]]
    assert sorted(mounts) == sorted(set(mounts))
    assert any("tls.conf.template" in v for v in services["proxy"]["volumes"])
    assert not any("http.conf.template" in v for v in services["proxy"]["volumes"])
    assert "xnat-web-engine" in services["xnat-web"]["image"]
    assert any("/srv/engine" in v for v in services["xnat-web"]["volumes"])


@pytest.mark.tool
def test_without_containers_there_is_no_socket(stack):
    make_env(stack, "--no-containers")
    text = json.dumps(config(stack))
    assert "docker.sock" not in text
    assert "xnat-pic-processing" not in text


@pytest.mark.tool
def test_containers_find_the_server_and_not_the_database(stack):
    make_env(stack)
    found = config(stack)
    network = found["networks"]["processing"]["name"]
    inside = [
        name
        for name, one in found["services"].items()
        if "processing" in (one.get("networks") or [])
    ]
    assert inside == ["xnat-web"]
    entrypoint = (stack / "xnat" / "entrypoint.sh").read_text(encoding="utf-8")
    assert "processingUrl=http://xnat-web:8080\n" in entrypoint
    catalog = stack / "catalog"
    done = CliRunner().invoke(export, ["export", str(catalog), "--network", network])
    assert done.exit_code == 0, done.output
    commands = [json.loads(one.read_text("utf-8")) for one in catalog.rglob("containers/*.json")]
    speaking = [one for one in commands if "step" in one["command-line"]]
    assert {one.get("network") for one in speaking} == {network}
    # What works on mounted files alone is given no network that it does not need.
    assert {one.get("network") for one in commands if one not in speaking} == {None}


@pytest.mark.tool
def test_without_env_compose_says_what_to_do(stack):
    done = run(stack, need_program("docker-compose"), "config")
    assert done.returncode != 0
    assert "./make-env" in done.stderr


def test_every_file_that_is_mounted_or_copied_is_there(stack):
    for name in stack.glob("docker-compose*.yml"):
        for one in yaml.safe_load(name.read_text(encoding="utf-8"))["services"].values():
            for volume in one.get("volumes", []):
                if volume.startswith("./"):
                    assert (stack / volume.partition(":")[0]).is_file(), volume
    for recipe, context in (
        ("xnat/Dockerfile", "docker-xnat/xnat"),
        ("xnat/Dockerfile.engine", "."),
        ("../pipelines/Dockerfile", "."),
    ):
        text = (ROOT / "docker-xnat" / recipe).read_text(encoding="utf-8")
        copied = [
            w
            for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.M)
            for w in line.split()[:-1]
        ]
        assert copied
        for word in copied:
            assert (ROOT / context / word).exists(), f"{recipe}: {word}"


@pytest.mark.tool
@pytest.mark.parametrize("template", ["http.conf.template", "tls.conf.template"])
def test_nginx_accepts_its_settings(stack, template):
    nginx = need_program("nginx")
    values = {"UPLOAD_SECONDS": "1800", "SERVER_NAME": "x.example.org", "SITE_URL": "https://x.org"}
    conf = stack / "conf"
    conf.mkdir()
    for source, name in ((template, "default.conf"), ("proxy.conf.template", "proxy.inc")):
        text = (stack / "nginx" / source).read_text(encoding="utf-8")
        for key, value in values.items():  # as the image of nginx does
            text = text.replace("${" + key + "}", value)
        text = text.replace("/etc/nginx/conf.d", str(conf)).replace("/etc/nginx/tls", str(conf))
        assert "${" not in text
        (conf / name).write_text(text, encoding="utf-8")
    subprocess.run(
        [need_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=x", "-keyout", str(conf / "key.pem"), "-out", str(conf / "certificate.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    main = conf / "nginx.conf"
    # Unpacked and not installed, nginx has no folder of its own below /var/lib.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {conf}/{kind}; " for kind in kinds)
    main.write_text(
        f"pid {conf}/pid; error_log {conf}/error.log;\nevents {{}}\n"
        f"http {{ access_log off; {temporary}include {conf}/default.conf; }}\n",
        encoding="utf-8",
    )
    done = run(stack, nginx, "-t", "-c", main, "-p", conf)
    assert done.returncode == 0, done.stderr


def test_settings_of_xnat_are_readable_by_xnat_alone(stack, tmp_path):
    script = stack / "xnat" / "entrypoint.sh"
    text = script.read_text(encoding="utf-8").replace("/data/xnat/home", str(tmp_path / "home"))
    script.write_text(text, encoding="utf-8")
    values = {"DB_PASSWORD": "s3cret", "SITE_URL": "https://x.org", "ADMIN_EMAIL": "a@x.org"}
    done = run(stack, script, "sh", "-c", "echo ${DB_PASSWORD:-gone}", **values)
    assert done.stdout == "gone\n"
    file = tmp_path / "home" / "config" / "xnat-conf.properties"
    assert "datasource.password=s3cret\n" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(stack, script, "true", SITE_URL="x", ADMIN_EMAIL="y").returncode != 0
    first = (file.parent / "prefs-init.ini").read_text(encoding="utf-8")
    assert "initialized=true\n" in first  # else the site takes no call at all
    assert "smtp" not in first
    mail = {
        "SMTP_HOST": "mail.x.org",
        "SMTP_PORT": "587",
        "SMTP_USER": "u",
        "SMTP_PASSWORD": "p4ss",
    }
    done = run(stack, script, "sh", "-c", "echo ${SMTP_PASSWORD:-gone}", **values, **mail)
    assert done.stdout == "gone\n"
    parser = ConfigParser()
    parser.read(file.parent / "prefs-init.ini", encoding="utf-8")
    smtp = dict(parser["notifications"])
    assert (smtp["smtphostname"], smtp["smtpport"]) == ("mail.x.org", "587")
    assert (smtp["smtpauth"], smtp["smtppassword"]) == ("true", "p4ss")
    assert stat.S_IMODE((file.parent / "prefs-init.ini").stat().st_mode) == 0o600


@pytest.mark.tool
def test_a_mail_server_reaches_xnat(stack):
    values = make_env(stack, "--smtp", "mail.example.org", "587")
    assert values["SMTP_PASSWORD"] == ""
    environment = config(stack)["services"]["xnat-web"]["environment"]
    assert environment["SMTP_HOST"] == "mail.example.org"
    assert environment["SMTP_PORT"] == "587"


# docker is not there where tests run: this one answers for the database and notes what it is asked.
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >> "$(dirname "$0")/calls"
case "$*" in
*pg_dump*) [ ! -e "$(dirname "$0")/broken" ] || exit 1; printf 'PGDMP of the database' ;;
*pg_restore*)
    [ ! -e "$(dirname "$0")/broken" ] || exit 1
    [ ! -e "$(dirname "$0")/stop" ] || kill -TERM $PPID
    cat > "$(dirname "$0")/restored" ;;
*createdb*) [ ! -e "$(dirname "$0")/full" ] || exit 1 ;;
*psql*) [ ! -e "$(dirname "$0")/in-use" ] || exit 1 ;;
esac
"""


@pytest.fixture
def filled(stack):
    """A stack with images, and a stand-in for docker."""
    make_env(stack)
    data = stack.parent / "data"
    for name in ("archive/P1/arc001/a.dcm", "prearchive/b.dcm"):
        (data / name).parent.mkdir(parents=True)
        (data / name).write_bytes(name.encode())
    place = stack.parent / "bin"
    place.mkdir()
    (place / "docker").write_text(DOCKER, encoding="utf-8")
    (place / "docker").chmod(0o755)
    return stack


def test_backup_and_restore(filled):
    place, data = filled.parent / "bin", filled.parent / "data"
    target = filled.parent / "backup-1"
    done = run(filled, "./backup", target, path=str(place))
    assert done.returncode == 0, done.stderr
    assert {p.name for p in target.iterdir()} == {"xnat.pgdump", "archive.tar", "env", "SHA256SUMS"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert (target / "env").read_bytes() == (filled / ".env").read_bytes()
    assert run(filled, "./backup", target, path=str(place)).returncode == 2  # never over another

    (data / "archive/P1/arc001/a.dcm").write_bytes(b"changed since")
    (data / "archive/new.dcm").write_bytes(b"new since")
    assert run(filled, "./restore", target, path=str(place)).returncode == 2  # without --yes
    done = run(filled, "./restore", target, "--yes", path=str(place))
    assert done.returncode == 0, done.stderr
    assert (place / "restored").read_bytes() == b"PGDMP of the database"
    assert (data / "archive/P1/arc001/a.dcm").read_bytes() == b"archive/P1/arc001/a.dcm"
    assert not (data / "archive/new.dcm").exists()
    [aside] = data.glob("before-restore-*")
    assert (aside / "archive/new.dcm").read_bytes() == b"new since"
    calls = (place / "calls").read_text(encoding="utf-8").splitlines()
    order = [next(i for i, c in enumerate(calls) if w in c) for w in (" stop ", "pg_restore")]
    assert order == sorted(order)
    password = make_password(filled)
    assert not any(password in call for call in calls)


@pytest.mark.parametrize("fault", ["broken", "full", "in-use", "stop"])
def test_a_database_that_does_not_come_back_changes_nothing(filled, fault):
    place, data = filled.parent / "bin", filled.parent / "data"
    assert run(filled, "./backup", filled.parent / "backup-1", path=str(place)).returncode == 0
    (data / "archive/new.dcm").write_bytes(b"new since")
    (place / fault).touch()
    done = run(filled, "./restore", filled.parent / "backup-1", "--yes", path=str(place))
    assert done.returncode == {"broken": 2, "stop": 130}.get(fault, 1)
    assert "nothing was changed" in done.stderr
    assert (data / "archive/new.dcm").read_bytes() == b"new since"
    assert sorted(p.name for p in data.iterdir()) == ["archive", "prearchive"]
    calls = (place / "calls").read_text(encoding="utf-8").splitlines()
    assert any("dropdb" in call for call in calls)
    assert calls[-1].endswith("up --detach")  # it was stopped
    assert ("RENAME" in "".join(calls)) == (fault == "in-use")


def test_images_that_cannot_be_moved_are_kept_and_named(filled):
    place, data = filled.parent / "bin", filled.parent / "data"
    assert run(filled, "./backup", filled.parent / "backup-1", path=str(place)).returncode == 0
    (place / "mv").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (place / "mv").chmod(0o755)
    done = run(filled, "./restore", filled.parent / "backup-1", "--yes", path=str(place))
    assert done.returncode == 1
    [kept] = data.glob(".restore.*")
    assert f"its images are still in {kept}" in done.stderr
    assert (kept / "archive/P1/arc001/a.dcm").read_bytes() == b"archive/P1/arc001/a.dcm"
    assert (data / "archive/P1/arc001/a.dcm").exists()


def make_password(stack):
    text = (stack / ".env").read_text(encoding="utf-8")
    return re.search(r"^DB_PASSWORD=(.+)$", text, re.MULTILINE)[1]


def test_a_damaged_backup_changes_nothing(filled):
    place, data = filled.parent / "bin", filled.parent / "data"
    target = filled.parent / "backup-1"
    assert run(filled, "./backup", target, path=str(place)).returncode == 0
    archive = target / "archive.tar"
    archive.write_bytes(archive.read_bytes()[:-512])
    (place / "calls").unlink()
    done = run(filled, "./restore", target, "--yes", path=str(place))
    assert done.returncode == 2
    assert "nothing was changed" in done.stderr
    assert not (place / "calls").exists()
    assert sorted(p.name for p in data.iterdir()) == ["archive", "prearchive"]


def test_a_backup_that_fails_leaves_nothing(filled):
    place = filled.parent / "bin"
    (place / "broken").touch()
    done = run(filled, "./backup", filled.parent / "backup-1", path=str(place))
    assert done.returncode != 0
    assert not list(filled.parent.glob("backup-1*"))


class _Xnat(BaseHTTPRequestHandler):
    asked: list = []  # noqa: RUF012 - read by the test
    status = 200

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (401, 5), (500, 6)])
def test_the_password_of_admin(stack, status, code):
    need_program("curl")
    values = make_env(stack)
    handler = type("Handler", (_Xnat,), {"asked": [], "status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        done = run(stack, "./set-admin-password", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()
    assert done.returncode == code, done.stderr
    [(path, login, content)] = handler.asked
    assert path == "/xapi/users/admin"
    assert login == "Basic YWRtaW46YWRtaW4="
    assert content == {"username": "admin", "password": values["XNAT_ADMIN_PASSWORD"]}
    assert values["XNAT_ADMIN_PASSWORD"] not in done.stderr + done.stdout


@pytest.mark.parametrize("unconfigured", [True, False])
def test_a_new_site_is_initialized_before_the_password_is_set(
    stack, tmp_path, monkeypatch, unconfigured
):
    need_program("curl")
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    values = make_env(stack)
    with serving(Archive(tmp_path / "xnat", Settings(unconfigured=unconfigured))) as served:
        done = run(stack, "./set-admin-password", served.url)
        assert done.returncode == 0, done.stderr
        known = served.as_user("admin", values["XNAT_ADMIN_PASSWORD"])
        assert known.get("/data/projects").status_code == 200
        assert served.as_user("admin", "admin").get("/data/projects").status_code == 401
        assert run(stack, "./set-admin-password", served.url).returncode == 5


# --- what is downloaded -------------------------------------------------------------------------

FETCHED_BY = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" != --output ] || out=$2; shift; done
[ ! -e "$(dirname "$0")/offline" ] || exit 22
cat "$(dirname "$0")/content" > "$out"
printf '%s' "$1" >> "$out"
"""
PULLED_BY = """#!/bin/sh
case "$1" in
pull) [ ! -e "$(dirname "$0")/offline" ] ;;
image) printf '%s@sha256:%s\\n' "$5" "$(cat "$(dirname "$0")/content")" ;;
esac
"""


@pytest.fixture
def fetching(stack):
    """A stack with a curl and a docker that serve what the file content says."""
    make_env(stack)
    place = stack.parent / "bin"
    place.mkdir()
    for name, text in (("curl", FETCHED_BY), ("docker", PULLED_BY)):
        (place / name).write_text(text, encoding="utf-8")
        (place / name).chmod(0o755)
    (place / "content").write_text("first", encoding="utf-8")
    return stack, place


def test_what_is_fetched_first_is_noted_and_must_stay(fetching):
    stack, place = fetching
    done = run(stack, "./fetch", path=str(place))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("is noted at its first download") == 7
    names = {path.name for path in (stack / "xnat" / "downloads").iterdir()} - {".gitignore"}
    assert len(names) == 3
    assert any(name.startswith("container-service-3.7.3") for name in names)
    noted = (stack / ".checksums").read_text(encoding="utf-8")
    assert "sha256:first  postgres:16.9-alpine" in noted
    again = run(stack, "./fetch", path=str(place))
    assert (again.returncode, "noted" in again.stderr) == (0, False)
    assert (stack / ".checksums").read_text(encoding="utf-8") == noted

    # The same name with other content: not kept.
    for path in (stack / "xnat" / "downloads").glob("*.jar"):
        path.unlink()
    (place / "content").write_text("other", encoding="utf-8")
    done = run(stack, "./fetch", path=str(place))
    assert done.returncode == 4
    assert "is not what was expected" in done.stderr
    assert list((stack / "xnat" / "downloads").glob("*.jar*")) == []
    assert (stack / ".checksums").read_text(encoding="utf-8") == noted


def test_a_file_that_was_changed_after_it_was_fetched_is_seen(fetching):
    stack, place = fetching
    assert run(stack, "./fetch", path=str(place)).returncode == 0
    [war] = (stack / "xnat" / "downloads").glob("*.war")
    war.write_bytes(b"changed")
    done = run(stack, "./fetch", path=str(place))
    assert done.returncode == 4
    assert war.name in done.stderr


def test_a_sum_that_its_publisher_states_counts_at_once(fetching):
    stack, place = fetching
    with (stack / "checksums.sha256").open("a", encoding="utf-8") as stated:
        stated.write(f"{'0' * 64}  xnat-web-1.9.3.6.war\n")
    done = run(stack, "./fetch", path=str(place))
    assert done.returncode == 4
    assert not (stack / ".checksums").read_text(encoding="utf-8")
    assert list((stack / "xnat" / "downloads").glob("*.war*")) == []


def test_a_download_that_fails_is_named(fetching):
    stack, place = fetching
    (place / "offline").touch()
    done = run(stack, "./fetch", path=str(place))
    assert done.returncode == 6
    assert "xnat-web-1.9.3.6.war cannot be fetched" in done.stderr


# --- who the pipelines run as -------------------------------------------------------------------


@pytest.fixture
def image(tmp_path):
    """The script that runs our program in the image, with the image's folders below this one."""
    program = tmp_path / "opt" / "xnat-pic-pipelines"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nid -u; id -g; id -G; cat "$1/image.dcm" && echo made > "$2/map"\n', "utf-8"
    )
    program.chmod(0o755)
    script = tmp_path / "run" / "xnat-pic-pipelines"
    script.parent.mkdir()
    text = (ROOT / "pipelines" / "run-as-mount-owner").read_text(encoding="utf-8")
    for inside, here in (
        ("/opt/xnat-pic/bin", program.parent),
        ("/output", tmp_path / "output"),
        ("/scratch", tmp_path / "scratch"),
    ):
        assert inside in text
        text = text.replace(inside, str(here))
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    for folder in tmp_path.parents:  # pytest's own folders are closed to others
        if folder.owner() == "root" and folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("owner", [23456, 0])
@pytest.mark.parametrize("mounted", ["output", "scratch"])
def test_a_run_writes_what_xnat_mounts_whoever_made_it(image, owner, mounted):
    (image / "input").mkdir()
    (image / "input" / "image.dcm").write_text("pixels\n", encoding="utf-8")
    for name in ("output", "scratch"):
        (image / name).mkdir()
        os.chown(image / name, 10001, 10001)
    for path in (image / "input" / "image.dcm", image / "input", image / mounted):
        os.chown(path, owner, owner)
        path.chmod(0o640 if path.is_file() else 0o750)  # as Tomcat's umask leaves them
    script = image / "run" / "xnat-pic-pipelines"
    done = run(image, script, image / "input", image / mounted)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(owner)] * 3 + ["pixels"]
    assert (image / mounted / "map").stat().st_uid == owner


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_run_without_a_mount_or_with_a_user_named_is_not_root(image):
    for name in ("input", "output", "scratch"):
        (image / name).mkdir()
        os.chown(image / name, 10001, 10001)
    (image / "input" / "image.dcm").write_text("pixels\n", encoding="utf-8")
    words = (image / "run" / "xnat-pic-pipelines", image / "input", image / "output")
    assert run(image, *words).stdout.split()[0] == "10001"
    # The setting Container User: the script is that user already and changes nothing.
    (image / "output").chmod(0o777)
    named = ("setpriv", "--reuid=34567", "--regid=34567", "--clear-groups", "--")
    (image / "output" / "map").unlink()
    assert run(image, *named, *words).stdout.split()[0] == "34567"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_who_may_not_step_down_runs_the_program_all_the_same(image):
    """A cluster that takes every capability from its containers."""
    for name in ("input", "output", "scratch"):
        (image / name).mkdir()
    os.chown(image / "output", 23456, 23456)
    (image / "output").chmod(0o777)
    (image / "input" / "image.dcm").write_text("pixels\n", encoding="utf-8")
    script = image / "run" / "xnat-pic-pipelines"
    less = ("setpriv", "--bounding-set=-setuid,-setgid,-setpcap", "--")
    done = run(image, *less, script, image / "input", image / "output")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "0"
    assert done.stderr == ""
