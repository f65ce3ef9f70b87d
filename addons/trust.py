"""Files that tell clients whom to trust: the public roots, the user's own, and our authority."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import ssl
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from addons.certificates import Authority, write_whole

REPLACING = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "HTTPLIB2_CA_CERTS",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "PERL_LWP_SSL_CA_FILE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
)
"""Environment variables naming a PEM file that takes the place of a client's own roots."""

ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Environment variables naming a PEM file that is trusted besides a client's own roots."""

TRUSTSTORE_PASSWORD = "changeit"
"""What Java tools expect by custom. It protects nothing: a trust store holds public certificates only."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s*(.+?)-----END CERTIFICATE-----", re.DOTALL)

_log = logging.getLogger(__name__)


def bundle(authority: Authority, environment: Mapping[str, str]) -> Path:
    """A PEM file with the public roots, every root `environment` names, and ours, brought up to date.

    Environments that name different roots get different files, so that no program changes what
    another one trusts.
    """
    public = _certificates(Path(certifi.where()))
    extra = _named(authority, environment, (*REPLACING, *ADDING), without=public)
    path = authority.folder / f"wiretape-bundle{_mark(extra)}.pem"
    write_whole(path, b"".join(map(_pem, [*public, *extra])) + authority.pem)
    return path


def additions(authority: Authority, environment: Mapping[str, str]) -> Path:
    """A PEM file with our certificate and what the user had added, for clients that keep their own roots."""
    extra = _named(authority, environment, ADDING)
    if not extra:
        return authority.certificate_path
    path = authority.folder / f"wiretape-additions{_mark(extra)}.pem"
    write_whole(path, b"".join(map(_pem, extra)) + authority.pem)
    return path


def java_truststore(authority: Authority, environment: Mapping[str, str]) -> Path:
    """What `bundle` holds as a PKCS #12 trust store for Java, with `TRUSTSTORE_PASSWORD`.

    Java takes a certificate in PKCS #12 as trusted only with Oracle's attribute
    2.16.840.1.113894.746875.1.1, which this writes.
    """
    pem = bundle(authority, environment)
    path = pem.with_name(pem.name.replace("bundle", "truststore")).with_suffix(".p12")
    with warnings.catch_warnings():
        # Some public roots are older than the rules they break.
        warnings.simplefilter("ignore")
        wanted = [parsed for der in _certificates(pem) if (parsed := _parsed(der)) is not None]
        # Two encryptions of the same certificates differ, so it is the certificates that are compared.
        if path.exists() and _held(path) == set(wanted):
            return path
    entries = [pkcs12.PKCS12Certificate(each, each.fingerprint(hashes.SHA256()).hex().encode()) for each in wanted]
    write_whole(path, pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode())))
    return path


def _named(
    authority: Authority, environment: Mapping[str, str], names: Iterable[str], without: Iterable[bytes] = ()
) -> list[bytes]:
    """The certificates (DER) in the files these variables name, each once, ours and `without` left out."""
    known = {*without, *_ders(authority.pem)}
    found: dict[bytes, None] = {}
    for path in dict.fromkeys(environment[name] for name in names if environment.get(name)):
        try:
            found.update(dict.fromkeys(_certificates(Path(path))))
        except OSError as error:
            _log.warning("the certificates in %s are left out: %s", path, error.strerror)
    return [der for der in found if der not in known]


def _mark(extra: list[bytes]) -> str:
    """What tells a file with these roots besides the usual ones from others, as part of its name."""
    return f"-{hashlib.sha256(b''.join(sorted(extra))).hexdigest()[:8]}" if extra else ""


def _certificates(path: Path) -> list[bytes]:
    return _ders(path.read_bytes())


def _ders(pem: bytes) -> list[bytes]:
    """The certificates in a PEM file as DER, in its order, comments and broken ones left out (RFC 7468)."""
    found = []
    for text in _PEM.findall(pem):
        try:
            found.append(base64.b64decode(b"".join(text.split()), validate=True))
        except binascii.Error:
            _log.debug("a certificate that is not base64 is left out")
    return found


def _pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def _parsed(der: bytes) -> x509.Certificate | None:
    """The certificate, or None for one that Java could not read either."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        _log.debug("a certificate that cannot be read is left out: %s", error)
        return None


def _held(path: Path) -> set[x509.Certificate]:
    try:
        held = pkcs12.load_pkcs12(path.read_bytes(), TRUSTSTORE_PASSWORD.encode())
    except ValueError as error:
        _log.debug("%s is made anew: %s", path, error)
        return set()
    return {each.certificate for each in held.additional_certs}
