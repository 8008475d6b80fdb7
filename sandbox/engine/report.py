"""Tell the archive how a run stands, with the requests that the engine makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import LoginError, ServerError
from xnat_config.server.login import token_login
from xnat_config.server.mail import send_mail
from xnat_config.server.paths import data_path
from xnat_config.server.retry import RetryPolicy
from xnat_pic.text import printable

from ..archive.launching import CONTAINER, Run
from .errors import RunError

_WRK = "http://nrg.wustl.edu/workflow"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_RETRY = RetryPolicy(attempts=3, first_wait_s=0.1)
_MOST_TEXT = 4000
RUNNING, COMPLETE, FAILED = "Running", "Complete", "Failed"


class Reporter:
    """Reports on one run, logged in with its token.

    Parameters
    ----------
    run : Run
        Which.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._client = XnatClient(
            Connection(run.host),
            token_login(run.login, run.alias, run.secret),
            agent="XNAT-PIC sandbox engine",
            retry=_RETRY,
        )

    def open(self) -> None:
        """Log in and look at the run.

        Raises
        ------
        RunError
            Where the archive refuses or does not answer.
        """
        self._send("GET", data_path("services", "workflows", "workflowid", str(self._run.workflow)))

    def close(self) -> None:
        """Log out."""
        self._client.close()

    def state(
        self,
        status: str,
        *,
        about: str = "",
        step: str = "",
        following: str = "",
        percent: float | None = None,
        details: str = "",
    ) -> None:
        """Write the state of the run.

        Parameters
        ----------
        status : str
            Running, Complete or Failed.
        about : str
            What is being done, or why it failed.
        step, following : str
            The present step and the next one; a complete run names none.
        percent : float, optional
            How much is done.
        details : str
            What people are to read at the end.

        Raises
        ------
        RunError
            Where the archive refuses or does not answer.
        """
        run = self._run
        values = {
            "ID": run.item,
            "data_type": run.xsi_type,
            "ExternalID": run.project,
            "status": status,
            "pipeline_name": run.name,
            "launch_time": run.launch_time.replace(" ", "T"),
            "step_description": about[:_MOST_TEXT],
            "percentageComplete": "" if percent is None else f"{percent:.1f}",
            "current_step_launch_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "current_step_id": step,
            "next_step_id": following,
        }
        root = Element(f"{{{_WRK}}}Workflow", {k: _xml(v) for k, v in values.items() if v})
        environment = SubElement(root, f"{{{_WRK}}}executionEnvironment")
        environment.set(f"{{{_XSI}}}type", "wrk:xnatExecutionEnvironment")
        SubElement(environment, f"{{{_WRK}}}pipeline").text = run.name
        SubElement(environment, f"{{{_WRK}}}xnatuser").text = run.login
        # The Container Service writes the details at every change, empty ones too.
        if details or run.kind == CONTAINER:
            SubElement(root, f"{{{_WRK}}}details").text = _xml(details[:_MOST_TEXT])
        ElementTree.register_namespace("wrk", _WRK)
        self._send(
            "PUT",
            "/data/workflows",
            params={"req_format": "xml"},
            # As the engine's: the letters are told by the header alone.
            body=lambda: ElementTree.tostring(root, encoding="ISO-8859-1", xml_declaration=False),
            content_type="application/xml; charset=ISO-8859-1",
        )

    def mail(self, subject: str, text: str) -> None:
        """Send what the engine mails at the end; the archive shows it on the page of the run.

        Raises
        ------
        RunError
            Where the archive refuses or does not answer.
        """
        try:
            send_mail(self._client, self._run.email, subject, text[:_MOST_TEXT])
        except (ServerError, LoginError) as error:
            raise RunError(f"The archive did not take a mail: {error.message}") from error

    def _send(self, method: str, path: str, **options: Any) -> None:
        try:
            self._client.send(method, path, **options)
        except (ServerError, LoginError) as error:
            raise RunError(f"The archive did not take {method} {path}: {error.message}") from error


def _xml(text: str) -> str:
    """Return text that XML can hold."""
    return printable(text, "?", keep="\t\n")
