"""Logging in, sessions and tokens, as clients do it."""

import pytest
import requests
from archive_server import Served


def test_password_gives_a_session(served: Served) -> None:
    answer = requests.post(
        served.url + "/data/services/auth",
        data={"username": "admin", "password": "admin"},
        timeout=10,
    )
    assert answer.status_code == 200
    token = answer.text
    assert answer.cookies["JSESSIONID"] == token
    who = requests.get(served.url + "/data/auth", cookies={"JSESSIONID": token}, timeout=10)
    assert who.text == "User 'admin' is logged in"


def test_wrong_password_is_refused(served: Served) -> None:
    form = {"username": "admin", "password": "wrong"}
    answer = requests.put(served.url + "/data/services/auth", data=form, timeout=10)
    assert answer.status_code == 401
    assert answer.text == "Authentication failed."


def test_provider_must_be_known(served: Served) -> None:
    form = {"username": "admin", "password": "admin", "provider": "nowhere"}
    answer = requests.post(served.url + "/data/services/auth", data=form, timeout=10)
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/data/projects", "/REST/projects", "/xapi/schemas"])
def test_program_without_login_is_asked_for_it(served: Served, path: str) -> None:
    answer = requests.get(served.url + path, timeout=10)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("path", ["/data/projects", "/"])
def test_browser_without_login_goes_to_the_page(served: Served, path: str) -> None:
    answer = requests.get(
        served.url + path,
        headers={"User-Agent": "Mozilla/5.0"},
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/app/template/Login.vm")


def test_session_ends(served: Served) -> None:
    token = served.get("/data/JSESSION").text
    cookies = {"JSESSIONID": token}
    assert requests.delete(served.url + "/data/JSESSION", cookies=cookies, timeout=10).ok
    assert requests.get(served.url + "/data/auth", cookies=cookies, timeout=10).status_code == 401


def test_csrf_text_is_given_when_asked_for(served: Served) -> None:
    assert "; XNAT_CSRF=" in served.get("/data/JSESSION?CSRF=true").text


def test_answers_carry_the_session_life(served: Served) -> None:
    cookie = served.get("/data/auth").headers["Set-Cookie"]
    assert 'SESSION_EXPIRATION_TIME="' in cookie
    assert ',900000"' in cookie


def test_alias_token_is_a_login(served: Served) -> None:
    token = served.get("/data/services/tokens/issue").json()
    other = served.as_user(token["alias"], token["secret"])
    assert other.get("/data/auth").text == "User 'admin' is logged in"
    path = f"{token['alias']}/{token['secret']}"
    assert served.get(f"/data/services/tokens/validate/{path}").json() == {"valid": "admin"}
    assert served.get(f"/data/services/tokens/invalidate/{path}").json() == {"result": "OK"}
    fresh = served.as_user(token["alias"], token["secret"])
    assert fresh.get("/data/auth").status_code == 401
    assert served.get(f"/data/services/tokens/validate/{path}").status_code == 404
