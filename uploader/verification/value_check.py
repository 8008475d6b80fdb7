"""Hold the values of a plan's variables against a project, its subjects and its sessions."""

from __future__ import annotations

from xnat_config.server.client import XnatClient
from xnat_config.site import SiteConfig

from ..findings import Finding, error, warning
from ..planning.plan import PlanRow
from ..server.listing import RemoteSession, read_item, variables_in
from ..server.project import RemoteProject
from ..server.variables import variables_by_type


def definition_findings(row: PlanRow, view: RemoteProject, config: SiteConfig) -> list[Finding]:
    """Find values that the project does not define, or that are not in its lists."""
    if not view.exists or row.modality not in config.kinds.by_code:
        return []
    session_type = config.kinds.by_code[row.modality].session_type
    found = []
    undefined: dict[str, None] = {}
    for data_type, variables in variables_by_type(config.variables, [session_type]).items():
        known = view.definitions.get(data_type, {})
        for one in variables:
            value = row.variables.get(one.name, "")
            if not value:
                continue
            if one.name not in known:
                undefined[one.name] = None
            elif known[one.name] and value not in known[one.name]:
                found.append(
                    error(
                        "value-not-in-list",
                        f"{one.name} {value!r} is not in the project's list for {data_type} "
                        f"({', '.join(known[one.name])}). Correct the value, or ask an owner to "
                        "add it to the list.",
                    )
                )
    if undefined:
        found.append(
            warning(
                "variable-undefined",
                f"The project does not define {', '.join(undefined)}: the values are kept, but "
                "XNAT's pages do not show them. upload --create-project defines them.",
            )
        )
    return found


def session_value_findings(
    client: XnatClient, row: PlanRow, session: RemoteSession, config: SiteConfig
) -> list[Finding]:
    """Find values that the session on the server has otherwise."""
    there = variables_in(read_item(client, session.path))
    names = list(dict.fromkeys([*config.variables.names, *row.variables]))
    return [
        _contradiction("the session", name, there[name], row.variables[name])
        for name in names
        if there.get(name) and row.variables.get(name) and there[name] != row.variables[name]
    ]


def subject_value_findings(row: PlanRow, view: RemoteProject, config: SiteConfig) -> list[Finding]:
    """Find values that the subject on the server has otherwise."""
    subject = view.subjects.get(row.subject.casefold())
    if subject is None:
        return []
    return [
        _contradiction(f"subject {subject.label}", name, old, row.variables[name])
        for name, old in subject.variables.items()
        if config.variables.of_subject(name)
        and old
        and row.variables.get(name)
        and row.variables[name] != old
    ]


def _contradiction(what: str, name: str, old: str, new: str) -> Finding:
    return error(
        "variable-contradicts",
        f"{name} of {what} is {old!r} on the server and {new!r} in the plan. Correct the plan, or "
        "correct the server with set-variables.",
    )
