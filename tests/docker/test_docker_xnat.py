"""The files of docker-xnat, as far as they can be proved without a container engine."""

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from programs import need_program

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("make-env", "set-admin-password", "backup", "restore", "xnat/entrypoint.sh")
SCRIPTS = (*SCRIPTS, "postgres/make-user.sh")
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
    assert "docker.sock" not in json.dumps(config(stack))


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
