"""Every address that the sandbox serves names where its answers come from."""

import re
from collections.abc import Iterator

import pytest
from starlette.routing import BaseRoute, Route

from sandbox.archive import server
from sandbox.archive.answers import (
    MARKS,
    address_sources,
    behaviours,
    source_of,
    unserved_addresses,
)
from sandbox.archive.archive import Archive, Settings
from sandbox.archive.rest import unserved


def _addresses(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in (one for one in routes if isinstance(one, Route)):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, route.path


@pytest.fixture
def served(tmp_path):
    """The addresses of an archive without its pages for people."""
    archive = Archive(tmp_path, Settings(faults=True))
    app = server.make_app(archive)
    while not hasattr(app, "routes"):
        app = app._app
    others = {*_addresses(server.web_routes(archive.settings)), *_addresses(unserved.routes)}
    return [one for one in _addresses(app.routes) if one not in others]


def test_every_address_has_a_source(served):
    assert len(served) > 150
    assert [one for one in served if source_of(*one) is None] == []


def test_every_row_stands_for_an_address(served):
    used = {source_of(*one) for one in served}
    assert [row.address for row in address_sources() if row not in used] == []


def test_rows_name_methods_that_are_served(served):
    found = {(source_of(*one), one[0]) for one in served}
    idle = [
        (method, row.address)
        for row in address_sources()
        for method in row.methods
        if (row, method) not in found
    ]
    assert idle == []


def test_an_address_that_is_not_served_says_so(serve):
    site = serve()
    for row in unserved_addresses():
        path = row.address.replace("{parent:parent}", "projects/P1")
        path = re.sub(r"{\w+:path}", "/x", path).replace("//", "/")
        path = re.sub(r"{\w+}", "x", path)
        answer = site.request(row.methods[0], path)
        assert answer.status_code == 501, path
        assert "does not serve" in answer.text


def test_marks_are_known_and_sources_are_named():
    for row in (*address_sources(), *behaviours()):
        assert row.mark in MARKS
        assert row.source.strip()
