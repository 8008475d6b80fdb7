"""Mails: what XNAT reads of a request, and that 200 means handed over, no more."""

import pytest
from archive_server import Served
from filled import add_user

SEND = "/data/services/mail/send"
MAIL = {"to": "admin@localhost", "subject": "Maps", "text": "are done"}


def _as_form(**values: str) -> dict[str, tuple[None, str]]:
    return {name: (None, value) for name, value in values.items()}


def test_a_form_of_parts_is_read(served: Served) -> None:
    answer = served.post(SEND, files=_as_form(**MAIL))
    assert (answer.status_code, answer.text) == (200, "OK")
    assert served.post(SEND, params=MAIL).text == "OK"
    assert served.post(SEND, params={**MAIL, "to": "1"}).text == "OK"  # the number of a user


def test_a_url_encoded_body_is_not_read(served: Served) -> None:
    assert served.post(SEND, data=MAIL).status_code == 400


def test_an_unknown_recipient_is_no_error(served: Served) -> None:
    answer = served.post(SEND, files=_as_form(**{**MAIL, "to": "nobody@example.org"}))
    assert (answer.status_code, answer.text) == (200, "OK with warnings, see log.")
    assert served.post(SEND, params={**MAIL, "to": "99"}).text == "OK with warnings, see log."
    assert served.post(SEND, params={**MAIL, "to": "admin"}).text == "OK with warnings, see log."


@pytest.mark.parametrize("name", ["to", "subject", "text"])
def test_a_mail_needs_its_parts(served: Served, name: str) -> None:
    less = {key: value for key, value in MAIL.items() if key != name}
    assert served.post(SEND, params=less).status_code == 400


def test_addresses_may_be_kept_out(served: Served) -> None:
    name = "ipsThatCanSendEmailsThroughRest"
    assert served.post("/xapi/siteConfig", json={name: "^10[.].*$"}).status_code == 200
    assert served.post(SEND, params=MAIL).status_code == 403
    assert served.post("/xapi/siteConfig", json={name: "^127[.].*$"}).status_code == 200
    assert served.post(SEND, params=MAIL).status_code == 200
    assert served.post("/xapi/siteConfig", json={name: "("}).status_code == 400


def test_any_user_may_send(served: Served) -> None:
    assert add_user(served, "ada").post(SEND, params=MAIL).status_code == 200
