"""Our own certificate authority: created once, kept private, handed to the proxy that makes leaves from it."""

from __future__ import annotations

import datetime
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from mitmproxy.certs import CertStore

AUTHORITY_FILE = "wiretape-ca.pem"
"""Private key and certificate, PEM, readable by the owner alone."""

CERTIFICATE_FILE = "wiretape-ca-cert.pem"
"""The certificate alone, PEM, for everybody."""

LIFETIME = datetime.timedelta(days=3652)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class CertificateError(Exception):
    """The authority cannot be used or made; the message is one line and says what to do."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: `certificates` is its own first, then what it was signed by, if anything."""

    folder: Path
    key: Key
    certificates: tuple[x509.Certificate, ...]

    @property
    def certificate_path(self) -> Path:
        """The public certificate, in PEM."""
        return self.folder / CERTIFICATE_FILE

    @property
    def pem(self) -> bytes:
        """The public certificates, in PEM."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.certificates)

    @property
    def expires(self) -> datetime.datetime:
        """When the certificate stops being valid, in UTC."""
        return self.certificates[0].not_valid_after_utc

    def fingerprint(self) -> str:
        """SHA-256 of the certificate: 32 hexadecimal pairs with colons, as `openssl x509` prints it."""
        return self.certificates[0].fingerprint(hashes.SHA256()).hex(":").upper()

    def store(self) -> CertStore:
        """The store from which the proxy takes its leaves.

        Built here since mitmproxy's own way reads fixed file names, and would silently make an
        authority of its own where it finds none.
        """
        # Imported late: reading the authority must stay quick for commands that run no proxy.
        from mitmproxy import certs

        # The annotations there say RSA, the code takes any key.
        key = cast(rsa.RSAPrivateKey, self.key)
        chain = self.folder / AUTHORITY_FILE if len(self.certificates) > 1 else None
        crl = certs.dummy_crl(key, self.certificates[0])
        # No Diffie-Hellman parameters: every client of today agrees on an elliptic curve.
        return certs.CertStore(key, certs.Cert(self.certificates[0]), chain, crl, certs.DHParams(b""))


def authority(home: Path) -> Authority:
    """The authority kept in `home` (made 0700 if absent), created if there is none.

    Two callers at once get the same one. Nothing that exists is ever overwritten. Raises
    CertificateError when the files cannot be written, or hold something that is not a valid
    authority of today.
    """
    path = home / AUTHORITY_FILE
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _publish_once(path, _create())
        raw = path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"the certificate authority {path} cannot be used ({error.strerror}): "
            "make it readable and its folder writable for this user, or choose another --home"
        ) from error
    found = Authority(home, *_parse(path, raw))
    write_whole(found.certificate_path, found.pem)
    return found


def write_whole(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, readable by all: never half written, and untouched if it does already.

    Raises CertificateError when it cannot be written.
    """
    try:
        if path.exists() and path.read_bytes() == data:
            return
        temporary = _temporary(path, data)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be written: {error.strerror}; free it or choose another --home"
        ) from error


def _publish_once(path: Path, data: bytes) -> None:
    temporary = _temporary(path, data)
    try:
        # Unlike a rename, a link never replaces what another process put there in the meantime.
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def _temporary(path: Path, data: bytes) -> Path:
    # mkstemp opens with mode 0600, so a private key is private from its first byte.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink()
        raise
    return temporary


def _create() -> bytes:
    """A new key and its certificate, PEM. Extensions as RFC 5280 §4.2 wants them of an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "wiretape CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "wiretape"),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # Some clocks are late.
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _parse(path: Path, raw: bytes) -> tuple[Key, tuple[x509.Certificate, ...]]:
    advice = "put the right file back, or move it away: a new one is made at the next start, to be trusted anew"
    try:
        key = serialization.load_pem_private_key(raw, password=None)
        certificates = tuple(x509.load_pem_x509_certificates(raw))
    except TypeError:
        raise CertificateError(f"the key in {path} is encrypted: store it without a password") from None
    except ValueError as error:
        raise CertificateError(f"{path} is not a private key and a certificate in PEM ({error}): {advice}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(f"the key in {path} is neither elliptic curve nor RSA: {advice}")
    if problem := _problem(key, certificates[0]):
        raise CertificateError(f"the certificate authority {path} {problem}: {advice}")
    return key, certificates


def _problem(key: Key, certificate: x509.Certificate) -> str | None:
    if certificate.public_key() != key.public_key():
        return "holds a key and a certificate that do not belong together"
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_after_utc <= now:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    constraints = [each.value for each in certificate.extensions if isinstance(each.value, x509.BasicConstraints)]
    if not any(each.ca for each in constraints):
        return "is a certificate that may not sign others"
    return None
