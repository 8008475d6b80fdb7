"""What the site tells of itself: versions, schemas, users, plugins, what may be searched."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .. import columns, initialization, preferences, schema, search
from ..accounts import demand
from ..archive import Settings
from ..elements import value_type
from ..http import Call, endpoint, json_text, table_response, text
from ..items import SITE
from ..listing import run
from ..refusals import Refused, not_found
from .commands import read_json

_VERSIONS = {"1.8": "1.8.10", "1.9": "1.9.2", "1.10": "1.10.0"}
_BUILT = datetime(2024, 6, 11, 10, 0, 0, tzinfo=UTC)
_STARTED = time.monotonic()
_ELEMENT_COLUMNS = ["ELEMENT_NAME", "SINGULAR", "PLURAL", "SECURED", "COUNT"]
_FIELD_COLUMNS = [
    "FIELD_ID",
    "HEADER",
    "SUMMARY",
    "TYPE",
    "REQUIRES_VALUE",
    "DESC",
    "ELEMENT_NAME",
    "SRC",
]


def build_info(settings: Settings) -> dict[str, str]:
    """Return which XNAT the sandbox answers like."""
    version = _VERSIONS[settings.xnat]
    return {
        "version": version,
        "buildNumber": "0",
        "buildDate": _BUILT.strftime("%a %b %d %H:%M:%S UTC %Y"),
        "sha": "0000000",
        "shaFull": "0" * 40,
        "isDirty": "false",
        "commit": "v0-0-g0000000",
        "branch": "xnat-pic-sandbox",
        "tag": version,
        "timestamp": str(int(_BUILT.timestamp() * 1000)),
        "hostName": "localhost",
        "displayHostName": "never",
        "nodeId": "xnat-pic-sandbox",
    }


@endpoint
def get_build_info(call: Call) -> Response:
    """Return the version, all of it or one property."""
    known = build_info(call.archive.settings)
    name = call.path("property")
    if not name:
        return json_text(known)
    if name not in known:
        raise not_found("property")
    return text(known[name])


@endpoint
def uptime(call: Call) -> Response:
    """Return how long the server has been up."""
    del call
    seconds = int(time.monotonic() - _STARTED)
    names, sizes = ("days", "hours", "minutes"), (86400, 3600, 60)
    told = {}
    for name, size in zip(names, sizes, strict=True):
        told[name], seconds = str(seconds // size), seconds % size
    return json_text({**told, "seconds": f"{seconds}.000"})


@endpoint
def site_config(call: Call) -> Response:
    """Return the few preferences that the sandbox has."""
    with call.archive.database.read() as connection:
        known = preferences.every(connection)
    known |= {
        "siteId": SITE,
        "siteUrl": known["siteUrl"] or call.base,
        "requireLogin": True,
        "checksums": True,
        "sessionXmlRebuilderInterval": call.archive.settings.idle_s / 60,
        "sessionTimeout": "15 minutes",
        "uiAllowNonAdminProjectCreation": True,
        "initialized": initialization.is_initialized(call.archive),
    }
    name = call.path("property")
    if not name:
        return json_text(known)
    if name not in known:
        raise not_found("preference")
    return json_text(known[name])


@endpoint
def change_site_config(call: Call) -> Response:
    """Save preferences from a JSON object, or one from the body; administrators may.

    Of those that XNAT has, the sandbox keeps the ones that it follows.
    """
    demand(call.user.is_admin)
    name = call.path("property")
    told = {name: _preference(call.body)} if name else read_json(call.body)
    if not isinstance(told, dict):
        raise Refused(400, "Send the preferences as a JSON object.")
    with call.archive.database.write() as connection:
        followed = {key: value for key, value in told.items() if key in preferences.DEFAULTS}
        preferences.store(connection, followed)
        if told.get("initialized") is True:
            initialization.initialize(connection)
    return text()


def _preference(body: bytes) -> Any:
    """Return the value of one preference: JSON, or a text as it is."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


@endpoint
def plugins(call: Call) -> Response:
    """Return the plugins whose addresses are served, by their ID."""
    named = {"ohifViewerPlugin": "XNAT OHIF Viewer Plugin"}
    if call.archive.settings.containers:
        named["containers"] = "XNAT 1.8 Container Service Plugin"
    version = build_info(call.archive.settings)["version"]
    return json_text(
        {key: {"id": key, "name": name, "version": version} for key, name in named.items()}
    )


@endpoint
def list_schemas(call: Call) -> Response:
    """Return the names of the schemas."""
    del call
    return json_text(schema.schema_names())


@endpoint
def get_schema(call: Call) -> Response:
    """Return a schema."""
    name = call.path("name").removesuffix(".xsd")
    name = name.rpartition("/")[2] if name.count("/") == 1 else name
    if name not in schema.schema_names():
        raise not_found("schema")
    return Response(schema.schema_text(name), media_type="application/xml")


@endpoint
def list_elements(call: Call) -> Response:
    """List the data types that the archive holds, with how many there are."""
    with call.archive.database.read() as connection:
        rows = connection.execute(
            "SELECT xsi_type, COUNT(*) FROM item WHERE kind NOT IN ('scan', 'reconstruction')"
            " GROUP BY xsi_type ORDER BY xsi_type"
        ).fetchall()
    listed = []
    for name, count in rows:
        singular, plural = schema.display_names(name)
        listed.append(
            {
                "ELEMENT_NAME": name,
                "SINGULAR": singular,
                "PLURAL": plural,
                "SECURED": "true",
                "COUNT": count,
            }
        )
    return table_response(call, _ELEMENT_COLUMNS, listed)


@endpoint
def list_fields(call: Call) -> Response:
    """List what a data type may be listed by: its short names."""
    name = schema.exact_name(call.path("element"))
    kind = schema.family_of(name)
    if not kind:
        raise not_found("data type")
    searched = "experiment" if kind == "assessor" else kind
    if searched not in ("project", "subject", "experiment"):
        return table_response(call, _FIELD_COLUMNS, [])
    listed = []
    for identifier, short in columns.search_fields(searched).items():
        path = columns.shortcuts(searched)[short]
        xsi_type, _, element = path.partition("/")
        listed.append(
            {
                "FIELD_ID": identifier,
                "HEADER": short,
                "SUMMARY": f"{name}.{identifier}",
                "TYPE": value_type(xsi_type, element).removeprefix("xs:"),
                "REQUIRES_VALUE": "false",
                "DESC": path,
                "ELEMENT_NAME": name,
                "SRC": "0",
            }
        )
    return table_response(call, _FIELD_COLUMNS, listed)


@endpoint
def run_search(call: Call) -> Response:
    """Answer a search document; keys are the fields' IDs in lower case."""
    wanted = search.read(call.document)
    listing = wanted.listing(call.user)
    with call.archive.database.read() as connection:
        rows = run(connection, listing)
    keys = {
        key: found[0]
        for key, name in wanted.columns.items()
        if (found := columns.full_path(wanted.kind, name)) and found[0] in listing.columns
    }
    told = [{key: row[column] for key, column in keys.items()} for row in rows]
    return table_response(call, list(keys), told)


@endpoint
def not_set_up(_call: Call) -> Response:
    """Say that the site is not set up; the sandbox has no page to do it."""
    return text(
        "This site is not set up yet. An administrator does it by POST of "
        '{"initialized": true} to /xapi/siteConfig.'
    )


routes = [
    Route("/xapi/siteConfig/buildInfo", get_build_info, methods=["GET"]),
    Route("/xapi/siteConfig/buildInfo/{property}", get_build_info, methods=["GET"]),
    Route("/xapi/siteConfig/uptime", uptime, methods=["GET"]),
    Route("/xapi/siteConfig", site_config, methods=["GET"]),
    Route("/xapi/siteConfig/{property}", site_config, methods=["GET"]),
    Route("/xapi/siteConfig", change_site_config, methods=["POST"]),
    Route("/xapi/siteConfig/{property}", change_site_config, methods=["POST", "PUT"]),
    Route(initialization.SETUP_PAGE, not_set_up, methods=["GET"]),
    Route(initialization.WAITING_PAGE, not_set_up, methods=["GET"]),
    Route("/xapi/plugins", plugins, methods=["GET"]),
    Route("/xapi/schemas", list_schemas, methods=["GET"]),
    Route("/xapi/schemas/{name:path}", get_schema, methods=["GET"]),
    Route("/data/search/elements", list_elements, methods=["GET"]),
    Route("/data/search/elements/{element}", list_fields, methods=["GET"]),
    Route("/data/search", run_search, methods=["POST"]),
]
