"""Plan, check, send, verify and report: a whole study into XNAT.

`scan_folder` reads a folder, `build_plan` makes a plan of it, `check` compares the plan with the
server, `upload` sends what is missing, `verify` proves that it arrived.
"""

from typing import TYPE_CHECKING

from xnat_pic.public import lazy_names

if TYPE_CHECKING:
    from xnat_pic.version import version

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
    from .planning.plan import IdentityClaim, Plan, PlanRow
    from .planning.plan_building import AUTO, build_plan, check_plan, with_sessions
    from .planning.plan_files import companions, is_plan_file, read_plan, write_plan
    from .planning.variable_table import read_variable_table
    from .reports.report import write_report
    from .scanning.folder_scan import FolderScan, scan_folder
    from .scanning.layout import parse_layout
    from .scanning.sessions import Series, Session
    from .server.project import list_projects
    from .transfer.jobs import UploadOptions
    from .transfer.plan_upload import Outcome, RowResult, UploadResult, upload
    from .transfer.variable_changes import apply_changes, find_changes
    from .verification.levels import ProofLevel, RowVerification, VerificationLevel
    from .verification.plan_check import RowCheck, Verdict, check
    from .verification.session_verification import VerifyOptions, verify
    from .verification.side_file_check import verify_uploads

    __version__ = version()

__all__ = [
    "AUTO",
    "DeidentificationMode",
    "Finding",
    "FolderScan",
    "IdentityClaim",
    "Journal",
    "Level",
    "LoginStore",
    "Outcome",
    "Plan",
    "PlanError",
    "PlanRow",
    "Progress",
    "ProofLevel",
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
    "VerifyOptions",
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
    "is_plan_file",
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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AUTO": "planning.plan_building",
        "DeidentificationMode": "deidentification.mode",
        "Finding": "findings",
        "FolderScan": "scanning.folder_scan",
        "IdentityClaim": "planning.plan",
        "Journal": "planning.journal",
        "Level": "findings",
        "LoginStore": "login.login_store",
        "Outcome": "transfer.plan_upload",
        "Plan": "planning.plan",
        "PlanError": "errors",
        "PlanRow": "planning.plan",
        "Progress": "control",
        "ProofLevel": "verification.levels",
        "RowCheck": "verification.plan_check",
        "RowError": "errors",
        "RowResult": "transfer.plan_upload",
        "RowVerification": "verification.levels",
        "RunControl": "control",
        "Series": "scanning.sessions",
        "Session": "scanning.sessions",
        "UploadOptions": "transfer.jobs",
        "UploadResult": "transfer.plan_upload",
        "Verdict": "verification.plan_check",
        "VerificationLevel": "verification.levels",
        "VerifyOptions": "verification.session_verification",
        "apply_changes": "transfer.variable_changes",
        "build_plan": "planning.plan_building",
        "check": "verification.plan_check",
        "check_plan": "planning.plan_building",
        "companions": "planning.plan_files",
        "find_changes": "transfer.variable_changes",
        "find_store": "login.login_store",
        "forget_login": "login.login_store",
        "has_keyring": "login.login_store",
        "is_plan_file": "planning.plan_files",
        "journal_path": "planning.journal",
        "list_projects": "server.project",
        "load_deidentifier": "deidentification.mode",
        "load_login": "login.login_store",
        "parse_layout": "scanning.layout",
        "read_plan": "planning.plan_files",
        "read_variable_table": "planning.variable_table",
        "relabel_rows": "planning.labels",
        "save_login": "login.login_store",
        "scan_folder": "scanning.folder_scan",
        "upload": "transfer.plan_upload",
        "verify": "verification.session_verification",
        "verify_uploads": "verification.side_file_check",
        "with_sessions": "planning.plan_building",
        "write_plan": "planning.plan_files",
        "write_report": "reports.report",
    },
)
