"""Settings of XNAT and its Container Service that keep containers from running, and what to set."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from ..server.client import XnatClient
from ..server.errors import ServerError

_SETTINGS = "Administer > Plugin Settings > Container Service > Container Server Setup"
_SITE = "Administer > Site Administration"
_DEFAULT_ADMIN = "administrator@xnat.org"
_CONNECT_S = 5.0
_OURS = "xnat-pic/"


def container_notes(server: XnatClient, commands: Iterable[Mapping[str, Any]] = ()) -> list[str]:
    """Return what an administrator should look at before containers are started, as sentences.

    Nothing of it is sure to fail: only the site knows its machines.

    Parameters
    ----------
    server : XnatClient
        Logged in; what its user may not see is not looked at.
    commands : iterable of mapping
        Commands that are to run; by default those of the site whose image is ours.
    """
    known = list(commands) or [
        one
        for one in _ask(server, "/xapi/commands") or []
        if isinstance(one, dict) and str(one.get("image", "")).startswith(_OURS)
    ]
    if not known:
        return []
    host = _ask(server, "/xapi/docker/server")
    if not isinstance(host, dict):
        return [f"XNAT does not tell where its containers run. Set the host: {_SETTINGS}."]
    site = _ask(server, "/xapi/siteConfig")  # for administrators alone
    return [
        *_host_notes(host),
        *_user_notes(host),
        *_path_notes(host),
        *_address_notes(site, host, known),
        *_image_notes(server, known),
        *_mail_notes(site, host),
    ]


def _ask(server: XnatClient, path: str, params: Mapping[str, str] | None = None) -> Any:
    try:
        return server.find_json(path, params)
    except ServerError:
        return None  # such as 500 of a host that does not answer, which is told apart


def _host_notes(host: Mapping[str, Any]) -> Iterator[str]:
    if host.get("ping") is False:
        yield (
            f"XNAT does not reach its container host {host.get('name') or host.get('host')}: no "
            f"container will start. Check {_SETTINGS}, and that XNAT's user may use the socket."
        )


def _user_notes(host: Mapping[str, Any]) -> Iterator[str]:
    user = str(host.get("container-user") or "").strip()
    number = user.partition(":")[0]
    if not user:
        if host.get("backend") == "kubernetes":
            yield (
                "Container User is empty: a cluster that asks for runAsNonRoot refuses the image, "
                f"which starts as root. Set it to the number of the user of XNAT's Tomcat: "
                f"{_SETTINGS}."
            )
    elif not number.isdecimal():
        yield (
            f"Container User is the name {user!r}, which the image does not have. Set it to the "
            f"number of the user of XNAT's Tomcat, or leave it empty: {_SETTINGS}."
        )
    elif int(number):
        yield (
            f"Container User is {user}: that must be the user of XNAT's Tomcat (see: id -u), whose "
            "folders are closed to others. Empty is right too: the image becomes that user."
        )


def _path_notes(host: Mapping[str, Any]) -> Iterator[str]:
    both = [bool(host.get(f"path-translation-{name}-prefix")) for name in ("xnat", "docker")]
    address = urlsplit(str(host.get("host") or ""))
    if any(both) and not all(both):
        yield (
            "One of the two prefixes of the path translation is empty, so that neither counts. "
            f"Set both, or none: {_SETTINGS}."
        )
    elif (
        not any(both)
        and host.get("backend") != "kubernetes"
        and address.hostname
        and not _is_loopback(address.hostname)
    ):
        yield (
            f"Containers run on another machine, {address.hostname}: it must find XNAT's archive "
            f"and build folders by the same paths, or set the path translation: {_SETTINGS}."
        )


def _address_notes(
    site: Any, host: Mapping[str, Any], commands: list[Mapping[str, Any]]
) -> Iterator[str]:
    if not isinstance(site, dict):
        return
    name = "Processing URL" if site.get("processingUrl") else "Site URL"
    address = str(site.get("processingUrl") or site.get("siteUrl") or "")
    parts = urlsplit(address)
    if not parts.hostname:
        yield f"Neither Processing URL nor Site URL is set: containers find no XNAT. {_SITE}."
        return
    where = f"Containers are told to find XNAT at {address} ({name})"
    networks = {str(one["network"]) for one in commands if one.get("network")}
    if _is_loopback(parts.hostname):
        yield f"{where}, which is the container itself. Set the Processing URL: {_SITE}."
    elif host.get("backend") == "kubernetes":
        if networks:
            yield f"Kubernetes ignores the network {', '.join(sorted(networks))} of the commands."
    elif "." not in parts.hostname and not _is_number(parts.hostname):
        if not networks:
            yield (
                f"{where}: a name that only a network of Docker knows, and the commands name none. "
                "Write them with: xnat-pic-pipelines export DIR --network NETWORK."
            )
    elif not networks and not _is_open(parts.hostname, parts.port, parts.scheme):
        yield (
            f"{where}, where nothing answers to this machine. If it is so for the container host "
            f"too, runs stay as they are until they fail: correct it, {_SITE}."
        )


def _image_notes(server: XnatClient, commands: list[Mapping[str, Any]]) -> Iterator[str]:
    listed = _ask(server, "/xapi/docker/images", {"installed": "true"})
    if not isinstance(listed, list):
        return
    there = {str(tag) for one in listed if isinstance(one, dict) for tag in one.get("tags") or []}
    for image in sorted({str(one.get("image")) for one in commands} - there):
        yield (
            f"The container host has no image {image}: build it there (docker build -f "
            f"pipelines/Dockerfile -t {image} .), or load it."
        )


def _mail_notes(site: Any, host: Mapping[str, Any]) -> Iterator[str]:
    if host.get("status-email-enabled") is False:
        yield (
            "Status mails of containers are off: nobody is told that a run is over. Turn them on: "
            f"{_SETTINGS}."
        )
    elif isinstance(site, dict) and site.get("adminEmail") == _DEFAULT_ADMIN:
        yield (
            f"The administrator's address is still {_DEFAULT_ADMIN}: the Container Service mails "
            f"nobody. Set it: {_SITE}."
        )


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_number(name) and ip_address(name).is_loopback)


def _is_open(name: str, port: int | None, scheme: str) -> bool:
    try:
        with socket.create_connection(
            (name, port or (443 if scheme == "https" else 80)), _CONNECT_S
        ):
            return True
    except OSError:
        return False
