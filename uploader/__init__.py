"""Plan, check, send, verify and report: a whole study into XNAT.

`scan_folder` reads a folder, `build_plan` makes a plan of it, `check` compares the plan with the
server, `upload` sends what is missing, `verify` proves that it arrived.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .control import Progress, RunControl
    from .deidentification.mode import DeidentificationMode, load_deidentifier
    from .errors import PlanError, RowError
    from .findings import Finding, Level
    from .login.login_store import (
        LoginStore,
        find_store,
        forget_login,
        has_keyring,
        load_login,
        save_login,
    )
    from .planning.journal import Journal, journal_path
    from .planning.labels import relabel_rows
    from .planning.plan import Plan, PlanRow
    from .planning.plan_building import AUTO, build_plan, check_plan, with_sessions
    from .planning.plan_files import companions, read_plan, write_plan
    from .planning.variable_table import read_variable_table
    from .reports.report import write_report
    from .scanning.folder_scan import FolderScan, scan_folder
    from .scanning.layout import parse_layout
    from .scanning.sessions import Series, Session
    from .server.project import list_projects
    from .transfer.jobs import UploadOptions
    from .transfer.plan_upload import Outcome, RowResult, UploadResult, upload
    from .transfer.variable_changes import apply_changes, find_changes
    from .verification.plan_check import RowCheck, Verdict, check
    from .verification.session_verification import (
        RowVerification,
        VerificationLevel,
        verify,
        verify_uploads,
    )

__all__ = [
    "AUTO",
    "DeidentificationMode",
    "Finding",
    "FolderScan",
    "Journal",
    "Level",
    "LoginStore",
    "Outcome",
    "Plan",
    "PlanError",
    "PlanRow",
    "Progress",
    "RowCheck",
    "RowError",
    "RowResult",
    "RowVerification",
    "RunControl",
    "Series",
    "Session",
    "UploadOptions",
    "UploadResult",
    "Verdict",
    "VerificationLevel",
    "__version__",
    "apply_changes",
    "build_plan",
    "check",
    "check_plan",
    "companions",
    "find_changes",
    "find_store",
    "forget_login",
    "has_keyring",
    "journal_path",
    "list_projects",
    "load_deidentifier",
    "load_login",
    "parse_layout",
    "read_plan",
    "read_variable_table",
    "relabel_rows",
    "save_login",
    "scan_folder",
    "upload",
    "verify",
    "verify_uploads",
    "with_sessions",
    "write_plan",
    "write_report",
]

# The module of each public name; none of them lies beside this one under such a name.
_MODULES = {
    "control": (
        "Progress",
        "RunControl",
    ),
    "deidentification.mode": (
        "DeidentificationMode",
        "load_deidentifier",
    ),
    "errors": ("PlanError", "RowError"),
    "findings": (
        "Finding",
        "Level",
    ),
    "login.login_store": (
        "LoginStore",
        "find_store",
        "forget_login",
        "has_keyring",
        "load_login",
        "save_login",
    ),
    "planning.journal": (
        "Journal",
        "journal_path",
    ),
    "planning.labels": ("relabel_rows",),
    "planning.plan": (
        "Plan",
        "PlanRow",
    ),
    "planning.plan_building": (
        "AUTO",
        "build_plan",
        "check_plan",
        "with_sessions",
    ),
    "planning.plan_files": (
        "companions",
        "read_plan",
        "write_plan",
    ),
    "planning.variable_table": ("read_variable_table",),
    "reports.report": ("write_report",),
    "scanning.folder_scan": (
        "FolderScan",
        "scan_folder",
    ),
    "scanning.layout": ("parse_layout",),
    "scanning.sessions": (
        "Series",
        "Session",
    ),
    "server.project": ("list_projects",),
    "transfer.jobs": ("UploadOptions",),
    "transfer.plan_upload": (
        "Outcome",
        "RowResult",
        "UploadResult",
        "upload",
    ),
    "transfer.variable_changes": (
        "apply_changes",
        "find_changes",
    ),
    "verification.plan_check": (
        "RowCheck",
        "Verdict",
        "check",
    ),
    "verification.session_verification": (
        "RowVerification",
        "VerificationLevel",
        "verify",
        "verify_uploads",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that a command starts fast."""
    if name == "__version__":
        from xnat_pic.version import version

        value: Any = version()
    elif name in _MODULE_OF:
        from importlib import import_module

        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
