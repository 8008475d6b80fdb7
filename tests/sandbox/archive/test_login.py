"""Logging in, sessions and tokens, as clients do it."""

import pytest
import requests
from archive_server import ServeArchive, Served

from sandbox.archive import accounts


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
    assert answer.status_code == 401
    form = {"username": "admin", "password": "admin", "authenticatorId": "nowhere"}
    answer = requests.post(served.url + "/data/services/auth", data=form, timeout=10)
    assert answer.status_code == 400


def _log_in(served: Served, **form: str) -> int:
    named = {"username": "mouse", "password": "cheese", **form}
    answer = requests.put(served.url + "/data/services/auth", data=named, timeout=10)
    return answer.status_code


def test_a_user_of_the_directory_names_the_method_the_first_time(serve: ServeArchive) -> None:
    served = serve(directory=(("mouse", "cheese"), ("rat", "bread")))
    assert _log_in(served) == 401  # XNAT guesses from the users that it knows
    assert served.as_user("mouse", "cheese").get("/data/projects").status_code == 401
    assert _log_in(served, provider="ldap", password="wrong") == 401
    assert _log_in(served, provider="localdb") == 401
    assert _log_in(served, provider="ldap") == 200
    assert _log_in(served) == 200  # known from now on
    assert served.as_user("mouse", "cheese").get("/data/projects").status_code == 200
    assert _log_in(served, username="rat", password="bread") == 401
    assert _log_in(served, username="rat", password="bread", authenticatorId="ldap1") == 200
    assert served.get("/xapi/users").json() == ["admin", "mouse", "rat"]


def test_a_provider_is_named_in_the_header_too(serve: ServeArchive) -> None:
    served = serve(directory=(("mouse", "cheese"),))
    assert served.as_user("ldap1/mouse", "cheese").get("/data/projects").status_code == 200
    assert served.as_user("localdb/admin", "admin").get("/data/projects").status_code == 200
    assert served.as_user("ldap1/admin", "admin").get("/data/projects").status_code == 401


def test_a_site_that_nobody_set_up_sends_everybody_away(serve: ServeArchive) -> None:
    served = serve(unconfigured=True)
    form = {"username": "admin", "password": "admin"}
    login = requests.put(served.url + "/data/services/auth", data=form, timeout=10)
    assert login.status_code == 200
    answer = served.get("/data/projects")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{served.url}/setup")
    assert served.as_user("admin", "wrong").get("/data/projects").status_code == 401
    assert served.get("/xapi/siteConfig").json()["initialized"] is False
    nobody = {"Authorization": "Basic Og=="}  # neither name nor password
    guest = requests.get(f"{served.url}/data/projects", headers=nobody, timeout=10)
    assert (guest.status_code, "not yet been configured" in guest.text) == (403, True)
    with served.archive.database.write() as connection:
        accounts.set_user(connection, "plain", "pw")
    answer = served.as_user("plain", "pw").get("/data/projects")
    assert answer.headers["Location"] == f"{served.url}/app/template/Unconfigured.vm"
    change = {"username": "admin", "password": "new"}
    assert served.put("/xapi/users/admin", json=change).status_code == 302
    refused = served.as_user("plain", "pw").post("/xapi/siteConfig", json={"initialized": True})
    assert refused.status_code == 403
    assert served.post("/xapi/siteConfig", json={"initialized": True}).status_code == 200
    assert served.get("/data/projects").status_code == 200
    assert served.put("/xapi/users/admin", json=change).status_code == 200
    assert served.as_user("admin", "new").get("/data/projects").status_code == 200


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


def test_tokens_and_sessions_are_ended_by_name(served: Served) -> None:
    alias = served.get("/data/services/tokens/issue").json()["alias"]
    with served.archive.database.write() as connection:
        accounts.set_user(connection, "plain", "pw")
    other = served.as_user("plain", "pw")
    forget = f"/data/services/tokens/invalidate/{alias}"
    assert other.get(forget).status_code == 404
    assert served.get(forget).json() == {"result": "OK"}
    assert served.get(forget).status_code == 404
    session = other.get("/data/JSESSION").text
    assert session in other.get("/xapi/users/active/plain").json()
    assert other.get("/xapi/users/active/admin").status_code == 403
    mine = served.get("/data/JSESSION").text
    assert other.delete(f"/data/JSESSION/{mine}").status_code == 403
    assert served.delete(f"/data/JSESSION/{session}").status_code == 200
    assert session not in served.get("/xapi/users/active/plain").text
    assert served.get("/xapi/users/admin/roles").json() == ["Administrator"]
    assert served.get("/xapi/users/plain/roles").json() == []
    assert served.get("/xapi/users/nobody/roles").status_code == 404
