"""Find what a user asks for, and refuse what the user may not see or change."""

import sqlite3

from . import accounts, items
from .accounts import User, demand
from .items import Item
from .refusals import not_found


def project(
    connection: sqlite3.Connection, user: User, name: str, *, edit: bool = False, own: bool = False
) -> Item:
    """Return a project by ID or alias.

    Parameters
    ----------
    edit, own : bool
        Whether the user must be allowed to change its data, or be one of its owners.

    Raises
    ------
    Refused
        404 where it does not exist or may not be read, 403 where it is protected and for a missing
        right.
    """
    found = items.find_project(connection, name)
    if found is None:
        raise not_found("project")
    if not accounts.may_read(connection, user, found):
        demand(not accounts.is_protected(connection, found.id))
        raise not_found("project")
    demand(not edit or accounts.may_edit(connection, user, found.id))
    demand(not own or accounts.may_delete(connection, user, found.id))
    return found


def experiment(
    connection: sqlite3.Connection, user: User, name: str, project: str = "", *, edit: bool = False
) -> Item:
    """Return a session or assessor by ID, or by label within a project.

    Raises
    ------
    Refused
        404 where it does not exist or may not be read; 403 for a missing right.
    """
    found = items.find_experiment(connection, name, project)
    if found is None or not accounts.may_read(connection, user, found):
        raise not_found("experiment")
    demand(not edit or accounts.may_edit(connection, user, project or found.project))
    return found


def visible_projects(connection: sqlite3.Connection, user: User) -> list[Item]:
    """Return the projects a user may read, by ID."""
    rows = connection.execute("SELECT id FROM item WHERE kind = 'project' ORDER BY id")
    found = [items.find_project(connection, row[0]) for row in rows.fetchall()]
    return [one for one in found if one is not None and accounts.may_read(connection, user, one)]


def session_by_id(
    connection: sqlite3.Connection,
    user: User,
    project_id: str,
    identifier: str,
    *,
    edit: bool = False,
) -> Item:
    """Return a session within a project by its ID alone, as the viewer's plugin names it.

    Raises
    ------
    Refused
        404 for a label too; 403 for a missing right on the project.
    """
    owner = project(connection, user, project_id, edit=edit)
    found = experiment(connection, user, identifier, owner.id)
    if found.kind != "experiment" or found.id != identifier:
        raise not_found("session")
    return found
