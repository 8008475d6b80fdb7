"""Ask roc-validator about a crate, without a network: ``python check_crate.py CRATE PROFILE``.

It runs in an environment of its own (``pip install roc-validator rocrate``). The context of
RO-Crate comes from the package rocrate; every other address is refused.
"""

import importlib.resources
import json
import sys

import requests

CONTEXT = "w3id.org/ro/crate/1."


def _answer(_session, method, url, **_options):
    if CONTEXT not in url or not url.endswith("/context") or method.upper() not in ("GET", "HEAD"):
        raise requests.ConnectionError(f"no network here: {method} {url}")
    found = requests.Response()
    found.status_code = 200
    found.url = url
    found.headers["Content-Type"] = "application/ld+json"
    data = importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    found._content = data
    return found


def main(crate, profile):
    requests.sessions.Session.request = _answer
    from rocrate_validator import models, services

    settings = models.ValidationSettings(
        rocrate_uri=crate,
        profile_identifier=profile,
        requirement_severity=models.Severity.REQUIRED,
        no_cache=True,
    )
    result = services.validate(settings)
    issues = [
        {"severity": one.severity.name, "message": str(one.message), "check": one.check.identifier}
        for one in result.get_issues(models.Severity.REQUIRED)
    ]
    json.dump({"passed": result.passed(), "issues": issues}, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
