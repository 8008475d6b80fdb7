"""Everything that an installation could have changed, read with plain requests."""

import re

OURS = "XNAT_PIC_ADMIN"


def snapshot(served):
    """Return definitions, forms, files, pipelines, commands and what is enabled."""
    commands = _json(served, "/xapi/commands")
    return {
        **{f"project {one}": _project(served, one) for one in ("P1", "P2")},
        "forms": _json(served, "/xapi/customforms"),
        "commands": commands,
        "enabled": {
            f"{place}{command['name']}/{wrapper['name']}": _json(
                served,
                f"/xapi{place}/commands/{command['id']}/wrappers/{wrapper['name']}/enabled",
            )
            for place in ("", "/projects/P1", "/projects/P2")
            for command in commands or []
            for wrapper in command["xnat"]
        },
    }


def _project(served, project):
    protocols = {}
    for name in ("subjectData", "mrSessionData", "petSessionData", "ctSessionData"):
        body = served.get(f"/data/projects/{project}/protocols/xnat:{name}").text
        protocols[name] = sorted(re.findall(r"<xnat:(?:field|definition) [^>]*>", body))
    return {
        "protocols": protocols,
        "spec": served.get(f"/data/projects/{project}/archive_spec").text,
        "pipelines": _json(served, f"/data/projects/{project}/pipelines"),
        "resources": served.rows(f"/data/projects/{project}/resources"),
    }


def _json(served, path):
    answer = served.get(path)
    return answer.json() if answer.status_code == 200 else None
