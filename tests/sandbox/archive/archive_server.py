"""A real server for tests, on a free port of this machine."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import uvicorn

from sandbox.archive.archive import DEFAULT_PASSWORD, Archive
from sandbox.archive.server import make_app

START_S = 20.0


@dataclass
class Served:
    """An archive that answers at `url`; the helpers ask it as its administrator."""

    archive: Archive
    url: str
    user: str = "admin"
    password: str = DEFAULT_PASSWORD
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.auth = (self.user, self.password)
        self.session.trust_env = False

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to a path; redirects are not followed."""
        options.setdefault("allow_redirects", False)
        options.setdefault("timeout", 60)
        return self.session.request(method, self.url + path, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def put(self, path: str, **options: Any) -> requests.Response:
        return self.request("PUT", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    def rows(self, path: str, **params: str) -> list[dict[str, str]]:
        """Return the rows of a listing."""
        answer = self.get(path, params={"format": "json", **params})
        assert answer.status_code == 200, answer.text
        result: list[dict[str, str]] = answer.json()["ResultSet"]["Result"]
        return result

    def keep_bytes(self) -> "Served":
        """Switch the site's script off, as one does before bytes are compared."""
        answer = self.put(
            "/xapi/anonymize/site/enabled",
            params={"enable": "false"},
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 200, answer.text
        return self

    def as_user(self, user: str, password: str) -> "Served":
        """Return the same archive, asked as somebody else."""
        return Served(self.archive, self.url, user, password)


ServeArchive = Callable[..., Served]


@contextmanager
def serving(archive: Archive) -> Iterator[Served]:
    """Serve an archive on a free loopback port while the block runs."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:  # so asyncio sets TCP_NODELAY
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        config = uvicorn.Config(
            make_app(archive),
            log_level="error",
            loop="asyncio",
            ws="none",
            lifespan="auto",
            # On a busy machine a test may be idle for longer than the five seconds of the server,
            # which then closes the line under the test's next request.
            timeout_keep_alive=600,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_S
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.005)
        served = Served(archive, f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            yield served
        finally:
            served.session.close()
            server.should_exit = True
            thread.join(START_S)
