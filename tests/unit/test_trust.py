"""Trust files hold the public roots, the user's own, and ours, and nobody loses trust by another's start."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import certifi
import pytest
from cryptography import x509

from addons.certificates import Authority, authority
from addons.trust import additions, bundle, java_truststore


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return authority(tmp_path / "home")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A root of the user's own, in a file with a comment."""
    path = tmp_path / "own.pem"
    path.write_bytes(b"# Example Inc.\n" + authority(tmp_path / "corporate").pem)
    return path


def _fingerprints(path: Path) -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return sorted(str(each["serialNumber"]) for each in context.get_ca_certs())


def _serial(path: Path) -> str:
    return f"{x509.load_pem_x509_certificate(path.read_bytes()).serial_number:X}".lstrip("0")


def _has(path: Path, certificate: Path) -> bool:
    return _serial(certificate) in [serial.lstrip("0") for serial in _fingerprints(path)]


def test_a_bundle_holds_the_public_roots_and_ours(ours: Authority) -> None:
    path = bundle(ours, {})
    assert path.name == "wiretape-bundle.pem"
    assert len(_fingerprints(path)) == len(_fingerprints(Path(certifi.where()))) + 1
    assert _has(path, ours.certificate_path)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE"])
def test_what_the_user_trusted_stays_trusted(ours: Authority, own: Path, name: str) -> None:
    path = bundle(ours, {name: str(own), "CURL_CA_BUNDLE": certifi.where()})
    assert _has(path, own)
    assert _has(path, ours.certificate_path)


def test_environments_do_not_share_what_they_trust(ours: Authority, own: Path) -> None:
    with_own, without = bundle(ours, {"SSL_CERT_FILE": str(own)}), bundle(ours, {})
    assert _has(with_own, own)
    assert not _has(without, own)


def test_a_bundle_of_ours_in_the_environment_changes_nothing(ours: Authority, own: Path) -> None:
    path = bundle(ours, {"SSL_CERT_FILE": str(own)})
    content = path.read_bytes()
    assert bundle(ours, {"SSL_CERT_FILE": str(path), "CURL_CA_BUNDLE": str(path)}) == path
    assert path.read_bytes() == content


def test_a_bundle_is_refreshed(ours: Authority, own: Path) -> None:
    path = bundle(ours, {})
    content = path.read_bytes()
    path.write_bytes(b"old")
    assert bundle(ours, {}).read_bytes() == content


def test_files_that_are_not_there_are_named(ours: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = tmp_path / "gone.pem"
    assert bundle(ours, {"SSL_CERT_FILE": str(gone)}).name == "wiretape-bundle.pem"
    assert str(gone) in caplog.text


def test_rubbish_between_certificates_is_left_out(ours: Authority, own: Path) -> None:
    bad = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    own.write_bytes(bad + own.read_bytes())
    path = bundle(ours, {"SSL_CERT_FILE": str(own)})
    assert b"!!!" not in path.read_bytes()


def test_additions_are_our_certificate_alone(ours: Authority, own: Path) -> None:
    assert additions(ours, {"SSL_CERT_FILE": str(own)}) == ours.certificate_path


def test_additions_keep_the_users(ours: Authority, own: Path) -> None:
    path = additions(ours, {"NODE_EXTRA_CA_CERTS": str(own)})
    assert len(_fingerprints(path)) == 2
    assert _has(path, own)
    assert _has(path, ours.certificate_path)


def test_a_java_truststore_is_made_once_and_refreshed(ours: Authority, own: Path) -> None:
    path = java_truststore(ours, {})
    before = path.stat()
    assert java_truststore(ours, {}).stat().st_ino == before.st_ino
    assert java_truststore(ours, {"SSL_CERT_FILE": str(own)}) != path
    path.write_bytes(b"broken")
    java_truststore(ours, {})
    command = ["openssl", "pkcs12", "-in", str(path), "-passin", "pass:changeit", "-nokeys"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert listed.count("BEGIN CERTIFICATE") == len(_fingerprints(bundle(ours, {})))
    assert "Trusted key usage (Oracle)" in listed or "2.16.840.1.113894.746875.1.1" in listed
