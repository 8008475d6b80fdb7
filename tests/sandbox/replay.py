"""Play a recording of the self-test: as a server to the client, and held against another one."""

import base64
import json
import re
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from sandbox.recording import FORMAT, SERVER

# What differs between two runs and two servers, and means nothing.
_NAMES = (
    (r"XNATPIC_SELFTEST_[0-9A-F]{8}", "PROJECT"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b\w+_[SE]\d{5,}\b", "ID"),
    (r"\b\d{8}_\d{6,9}\b", "TIME"),
    (r"(?<=/)\d+(?=/|$)", "N"),
)


def load(path):
    recording = json.loads(Path(path).read_text(encoding="utf-8"))
    assert recording["format"] == FORMAT
    return recording


@contextmanager
def playing(recording):
    """Serve the recorded answers; yields the address and a list of what was not recorded."""
    answers = defaultdict(list)
    for one in recording["exchanges"]:
        answers[_key(one["method"], one["path"], one["query"])].append(one)
    unknown, lock = [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self._skip_body()
            parts = urlsplit(self.path)
            query = parse_qsl(parts.query, keep_blank_values=True)
            key = _key(self.command, parts.path, query)
            with lock:
                listed = answers.get(key)
                if not listed:
                    unknown.append(key)
                    self.send_error(404)
                    return
                one = listed.pop(0) if len(listed) > 1 else listed[0]  # a poll may go on longer
            body = _body(one["received"])
            self.send_response(one["status"])
            for name, value in one["headers"].items():
                self.send_header(name, value.replace(SERVER, address))
            if "JSESSIONID" in one["cookies"]:
                self.send_header("Set-Cookie", "JSESSIONID=0123456789ABCDEF; Path=/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def _skip_body(self):
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield address, unknown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _key(method, path, query):
    return method, path, tuple(sorted((name, value) for name, value in query))


def _body(received):
    if "json" in received:
        return json.dumps(received["json"]).encode()
    if "base64" in received:
        return base64.b64decode(received["base64"])
    return received["text"].encode() if "text" in received else bytes(received["bytes"])


def differences(recorded, other):
    """Return where another server answers otherwise, as texts."""
    ours, theirs = _answers(recorded), _answers(other)
    found = [f"{key}: never asked" for key in ours.keys() - theirs.keys()]
    for key in ours.keys() & theirs.keys():
        for name in ours[key]:
            if ours[key][name] != theirs[key][name]:
                there, here = sorted(ours[key][name]), sorted(theirs[key][name])
                found.append(f"{key}: {name} {there} recorded, {here} here")
    return sorted(found)


def _answers(recording):
    """Return statuses, kinds and shapes of the answers to each kind of request."""
    found = defaultdict(lambda: defaultdict(set))
    for one in recording["exchanges"]:
        path = one["path"]
        for pattern, word in _NAMES:
            path = re.sub(pattern, word, path)
        names = ",".join(sorted({_plain(name) for name, _ in one["query"]}))
        key = f"{one['step']}: {one['method']} {path}?{names}"
        found[key]["status"].add(str(one["status"]))
        kind = one["headers"].get("Content-Type", "").partition(";")[0]
        found[key]["type"].add(kind)
        if one["status"] < 300 and "json" in one["received"]:
            found[key]["shape"] |= _shape(one["received"]["json"])
    return found


def _plain(name):
    return re.sub(r"\[.*?\]", "[]", name)


def _shape(value, at=""):
    """Return the paths of a document's values with their kinds; entries of lists are as one."""
    if isinstance(value, dict):
        keys = {re.sub(_NAMES[1][0], "UUID", name): one for name, one in value.items()}
        return set().union(*(_shape(one, f"{at}/{name}") for name, one in keys.items()))
    if isinstance(value, list):
        return set().union(*(_shape(one, f"{at}[]") for one in value))
    return {f"{at} {type(value).__name__}"}
