"""Tell the archive how a run stands, with the requests that the engine makes."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import requests

from ..archive.launching import Run
from .problems import RunProblemError

_WRK = "http://nrg.wustl.edu/workflow"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TIMEOUT_S = 60.0
_TRIES = 3
_MOST_TEXT = 4000
_LOGIN_OVER, _ITS_FAULT = 401, 500
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
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "XNAT-PIC sandbox engine"

    def open(self) -> None:
        """Log in and look at the run.

        Raises
        ------
        RunProblemError
            Where the archive refuses or does not answer.
        """
        self._log_in()
        self._send("GET", f"/data/services/workflows/workflowid/{self._run.workflow}")

    def close(self) -> None:
        """Log out."""
        try:
            self._send("DELETE", "/data/JSESSION")
        finally:
            self._session.close()

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
        RunProblemError
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
        if details:
            SubElement(root, f"{{{_WRK}}}details").text = _xml(details[:_MOST_TEXT])
        ElementTree.register_namespace("wrk", _WRK)
        self._send(
            "PUT",
            "/data/workflows?req_format=xml",
            data=ElementTree.tostring(root, encoding="ISO-8859-1", xml_declaration=True),
            headers={"Content-Type": "application/xml; charset=ISO-8859-1"},
        )

    def mail(self, subject: str, text: str) -> None:
        """Send what the engine mails at the end; the archive shows it on the page of the run.

        Raises
        ------
        RunProblemError
            Where the archive refuses or does not answer.
        """
        self._send(
            "POST",
            "/data/services/mail/send",
            data={"to": self._run.login, "subject": subject, "text": text[:_MOST_TEXT]},
        )

    def _log_in(self) -> None:
        self._session.cookies.clear()
        self._send("POST", "/data/JSESSION", auth=(self._run.alias, self._run.secret))

    def _send(self, method: str, path: str, **options: object) -> requests.Response:
        problem = ""
        for turn in range(_TRIES):
            try:
                answer = self._session.request(
                    method,
                    self._run.host + path,
                    timeout=_TIMEOUT_S,
                    allow_redirects=False,
                    **options,  # type: ignore[arg-type]
                )
            except requests.RequestException as error:
                problem = f"no answer ({type(error).__name__})"
                continue
            if answer.ok:
                return answer
            problem = f"status {answer.status_code}"
            if answer.status_code == _LOGIN_OVER and path != "/data/JSESSION" and not turn:
                self._log_in()  # an idle session ends while a long step runs
            elif answer.status_code < _ITS_FAULT:
                break
        raise RunProblemError(f"The archive did not take {method} {path.split('?')[0]}: {problem}.")


def _xml(text: str) -> str:
    """Return text that XML can hold."""
    return "".join(one if one in "\t\n" or one.isprintable() else "?" for one in text)
