"""What a program and a server said to each other, as a file that can be given away.

Logins, sessions, addresses and people are taken out, and of lists of the whole site what is not of
the scratch project.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from xnat_config.server.session import Answer
from xnat_pic.files import write_file

FORMAT = 1
SERVER, HOST, USER, REMOVED = "http://server", "server", "USER", "REMOVED"
SESSION = "SESSION-REMOVED"
_HEADERS = ("Content-Type", "Location", "WWW-Authenticate", "Retry-After", "Content-Disposition")
_LOGIN = ("/data/services/auth", "/data/JSESSION", "/data/services/tokens")
# Lists of the whole site: only entries of the scratch project are of interest.
_SITE_LISTS = (
    "/xapi/customforms",
    "/xapi/commands",
    "/xapi/users",
    "/data/projects",
    "/data/prearchive",
    "/data/prearchive/projects",
)
# Settings of the site are nobody's business: that they were asked for is kept, and no value.
_SETTINGS = ("/xapi/siteConfig", "/xapi/docker/server", "/xapi/docker/images")
_OF_PEOPLE = frozenset(
    (
        *("hostName", "displayHostName", "nodeId", "username", "login", "user-id", "insert_user"),
        *("email", "firstname", "lastname", "firstName", "lastName", "pi_firstname", "pi_lastname"),
    )
)
_LONG = 8  # characters of a secret from which on it is no part of an ordinary word
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LARGEST_BODY = 4 * 2**20


def mask_secret(text: str, secret: str, word: str) -> str:
    """Return a text without a secret.

    A short one may be part of an ordinary word, where a mask would tell what it is: there it is
    masked where it stands alone. A longer one is masked wherever it stands.
    """
    if len(secret) >= _LONG:
        return text.replace(secret, word)
    return re.sub(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", word, text)


class Recorder:
    """Collects exchanges; `note` is what a client is given.

    Parameters
    ----------
    server, user : str
        What is taken out wherever it stands.
    secrets : sequence of str
        Likewise; a password among them.
    keep : sequence of str
        An entry of a list of the whole site is kept if it holds one of these.

    Attributes
    ----------
    step : str
        Noted with each exchange.
    """

    def __init__(
        self, server: str, user: str, secrets: Sequence[str], keep: Sequence[str] = ()
    ) -> None:
        self._server = server
        self._host = urlsplit(server).netloc
        self._user = user
        self._secrets = [one for one in secrets if one]
        self._keep = tuple(keep)
        self._lock = threading.Lock()
        self._exchanges: list[dict[str, Any]] = []
        self.step = ""

    def note(self, answer: Answer) -> None:
        """Note an answer with its request; the whole answer is read."""
        request = answer.request
        parts = urlsplit(str(request.url))
        with self._lock:
            self._secrets += [value for value in answer.cookies.values() if len(value) > 7]
            path = parts.path.removeprefix(urlsplit(self._server).path)
            self._exchanges.append(
                {
                    "step": self.step,
                    "method": str(request.method),
                    "path": self._clear(path),
                    "query": [
                        [name, self._clear(value)]
                        for name, value in parse_qsl(parts.query, keep_blank_values=True)
                    ],
                    "sent": self._sent(request, path),
                    "status": answer.status_code,
                    "headers": {
                        name: self._clear(answer.headers[name])
                        for name in _HEADERS
                        if name in answer.headers
                    },
                    "cookies": sorted(answer.cookies.keys()),
                    "received": self._received(answer, path),
                }
            )

    def _sent(self, request: Any, path: str) -> Any:
        body = request.body
        kind = str(request.headers.get("Content-Type") or "").partition(";")[0]
        if not body:
            return None
        if path.startswith(_LOGIN):
            return {"names": sorted(name for name, _ in parse_qsl(_text(body)))}
        if kind == "application/json":
            return {"json": self._clear_json(json.loads(_text(body)))}
        if kind in ("text/xml", "application/x-www-form-urlencoded"):
            return {"text": self._clear(_text(body))}
        length = len(body) if isinstance(body, bytes | str) else request.headers["Content-Length"]
        return {"type": kind, "bytes": int(length)}

    def _received(self, answer: Answer, path: str) -> Any:
        content = answer.content
        kind = answer.headers.get("Content-Type", "").partition(";")[0].lower()
        if path in _SETTINGS:
            return {"json": None}
        if path.startswith(_LOGIN):
            return {"text": SESSION if answer.ok and content else ""}
        if len(content) > _LARGEST_BODY:
            return {"type": kind, "bytes": len(content)}
        if kind == "application/json":
            try:
                found = json.loads(content)
            except ValueError:
                return {"text": self._clear(content.decode("utf-8", "replace"))}
            return {"json": self._clear_json(self._ours(found, path))}
        try:
            return {"text": self._clear(content.decode("utf-8"))}
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(content).decode("ascii")}

    def _ours(self, found: Any, path: str) -> Any:
        """Return a list of the whole site without what is not of the scratch project."""
        if path not in _SITE_LISTS:
            return found
        if isinstance(found, list):
            return [one for one in found if any(word in json.dumps(one) for word in self._keep)]
        if isinstance(found, dict) and isinstance(found.get("ResultSet"), dict):
            rows = self._ours(found["ResultSet"].get("Result", []), path)
            return {"ResultSet": {**found["ResultSet"], "Result": rows}}
        return found

    def _clear_json(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                self._clear(name): REMOVED
                if name in _OF_PEOPLE and isinstance(one, str)
                else self._clear_json(one)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._clear_json(one) for one in value]
        return self._clear(value) if isinstance(value, str) else value

    def _clear(self, text: str) -> str:
        """Return a text without login, session, address and mail addresses."""
        for secret in self._secrets:
            text = mask_secret(text, secret, SESSION)
        text = text.replace(self._server, SERVER)
        text = re.sub(rf"(?<![\w.-]){re.escape(self._host)}(?![\w.-])", HOST, text)
        if self._user:
            text = re.sub(rf"(?<!\w){re.escape(self._user)}(?!\w)", USER, text)
        return _MAIL.sub("MAIL", text)

    def write(self, path: Path, project: str, steps: Sequence[dict[str, Any]]) -> None:
        """Write what was noted.

        Parameters
        ----------
        steps : sequence of dict
            What became of each step.
        """
        with self._lock:
            document = {
                "format": FORMAT,
                "product": version("xnat-pic"),
                "project": project,
                "steps": list(steps),
                "exchanges": self._exchanges,
            }
            text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
            for secret in self._secrets:  # a session's key is known once the server gave it
                text = mask_secret(text, secret, SESSION)
        write_file(path, text)


def _text(body: Any) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
