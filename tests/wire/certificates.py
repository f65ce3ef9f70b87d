"""Certificates for the scripted upstream: a test authority, and leaves that are good or bad in one named way."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Kind = Literal["good", "wrong-name", "self-signed", "expired"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate chain and its private key, both PEM."""

    chain: bytes
    key: bytes

    def context(self) -> ssl.SSLContext:
        """A server context that offers HTTP/1.1 only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "leaf.pem"
            path.write_bytes(self.key + self.chain)
            context.load_cert_chain(path)
        context.set_alpn_protocols(["http/1.1"])
        return context


class Authority:
    """A certificate authority of its own, trusted by nobody until a test says so."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("wiretape test authority")
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day * 30)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signing=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for `upstream.ca_file`."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def context(self, kind: Kind = "good") -> ssl.SSLContext:
        """A server context that makes out a leaf of this kind for whatever name the client asks for."""
        contexts: dict[str, ssl.SSLContext] = {}

        def choose(socket: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None:
                if name not in contexts:
                    contexts[name] = self.issue(name, kind=kind).context()
                socket.context = contexts[name]

        context = self.issue("localhost", "127.0.0.1", kind=kind).context()
        context.sni_callback = choose
        return context

    def issue(self, *hosts: str, kind: Kind = "good") -> Leaf:
        """A leaf for `hosts`: valid, or bad in exactly the way `kind` says."""
        key = ec.generate_private_key(ec.SECP256R1())
        day = datetime.timedelta(days=1)
        now = datetime.datetime.now(datetime.UTC)
        names = ["elsewhere.example"] if kind == "wrong-name" else list(hosts)
        subject = _name(names[0])
        own = kind == "self-signed"
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if own else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day * 20)
            .not_valid_after(now - day if kind == "expired" else now + day)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signing=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key((key if own else self._key).public_key()),
                critical=False,
            )
        )
        certificate = builder.sign(key if own else self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Leaf(certificate.public_bytes(serialization.Encoding.PEM), private)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signing,
        crl_sign=signing,
        encipher_only=False,
        decipher_only=False,
    )
