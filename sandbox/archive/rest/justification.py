"""A reason for each change, where the site demands one."""

from .. import preferences
from ..http import Call
from ..refusals import Refused
from .parents import CACHE, resolve

_EXEMPT = "xnat:projectData"


def demand_reason(call: Call) -> None:
    """Refuse a change of XNAT's own data types without ``event_reason``, where it is demanded.

    Raises
    ------
    Refused
        403
    """
    address = call.path("parent")
    if call.get("event_reason").strip() or address == CACHE:
        return
    with call.archive.database.read() as connection:
        known = preferences.every(connection)
        if not (known["requireChangeJustification"] and known["showChangeJustification"]):
            return
        parts = address.split("/")
        try:
            kinds = {one.xsi_type for one in resolve(connection, call.user, address).items}
        except Refused:  # it is to be made now
            kinds = {_EXEMPT if parts[-2] == "projects" else call.get("xsiType") or "xnat:"}
    if any(kind.startswith("xnat:") and kind != _EXEMPT for kind in kinds):
        raise Refused(403, "Justification required.")
