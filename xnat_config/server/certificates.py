"""Certificates of a site's own authorities, handed to programs that see no file of the site.

A container cannot be given a file of its host, so the certificates, which are public, travel as
text: the bodies of their PEM blocks, with commas between them.
"""

from __future__ import annotations

import atexit
import base64
import os
import re
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path

from xnat_pic.errors import WrongCallError

from .connection import CA_VARIABLE

CERTIFICATES_VARIABLE = "XNAT_PIC_CA_CERTIFICATES"
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_BUNDLES = (CA_VARIABLE, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_MOST_TEXT = 60_000  # a word of a command line holds 128 KiB, and a bundle of all authorities more


def read_certificates(path: Path) -> str:
    """Return the certificates of a PEM file as one word of text.

    Raises
    ------
    WrongCallError
        If there are none, one is damaged, a private key is among them, or they are too many.
    """
    try:
        text = path.read_text(encoding="latin-1")  # of comments, which may be in any letters
    except OSError as error:
        raise WrongCallError(
            f"{path} cannot be read as PEM.", path=path, hint="Give the site's certificates."
        ) from error
    if "PRIVATE KEY" in text:
        raise WrongCallError(
            f"{path} holds a private key, which must not leave the server.",
            path=path,
            hint="Give a file with the certificates of the authority alone.",
        )
    bodies = ["".join(body.split()) for body in _BLOCK.findall(text)]
    if not bodies:
        raise WrongCallError(
            f"{path} holds no certificate in PEM.", path=path, hint="Give the site's authority."
        )
    word = ",".join(bodies)
    if len(word) > _MOST_TEXT:
        raise WrongCallError(
            f"{path} holds {len(bodies)} certificates, more than a command can carry.",
            path=path,
            hint="Give those of the site's own authority; the usual ones are trusted anyway.",
        )
    _check(word, str(path))
    return word


def trusted_bundle(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of certificates that this program trusts; None for the usual ones.

    Where the environment brings certificates of the site, they are trusted beside the file that it
    names, or beside the usual ones, in a temporary file that ends with the program.

    Raises
    ------
    WrongCallError
        If they are damaged, or the file that the environment names is not there.
    OSError
        If the file cannot be written.
    """
    named = environ.get(CA_VARIABLE, "")
    word = environ.get(CERTIFICATES_VARIABLE, "")
    if named and not Path(named).exists():
        raise WrongCallError(
            f"There is no {named}, which {CA_VARIABLE} names.",
            hint="Correct the variable, or take it away to trust the usual authorities.",
        )
    if not word:
        return Path(named) if named else None
    _check(word, CERTIFICATES_VARIABLE)
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    usual = (
        next((one for name in _BUNDLES if Path(one := environ.get(name, "")).is_file()), "")
        or DEFAULT_CA_BUNDLE_PATH
    )
    folder = Path(tempfile.mkdtemp(prefix="xnat-pic-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bundle = folder / "certificates.pem"
    usual_bytes = Path(usual).read_bytes() if Path(usual).is_file() else b""
    own = "\n".join(map(_pem, word.split(",")))
    bundle.write_bytes(usual_bytes + b"\n" + own.encode("ascii"))
    return bundle


def _pem(body: str) -> str:
    return ssl.DER_cert_to_PEM_cert(base64.b64decode(body))


def _check(word: str, where: str) -> None:
    """Raise a `WrongCallError` where a certificate cannot be loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        for body in word.split(","):
            base64.b64decode(body, validate=True)
            context.load_verify_locations(cadata=_pem(body))
    except (ValueError, ssl.SSLError) as error:
        raise WrongCallError(
            f"A certificate of {where} is damaged.", hint="Get the file again from who issued it."
        ) from error
