"""The authority: made once, private, refused when it is not one, and accepted by strict clients."""

from __future__ import annotations

import datetime
import os
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from addons.certificates import AUTHORITY_FILE, Authority, CertificateError, authority, write_whole

DAY = datetime.timedelta(days=1)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask that hides no mistake."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> ssl.SSLObject:
    """Run both ends of a TLS handshake in memory; raises what the client raises."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (near, far, near, far):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return near


def _server(ours: Authority, host: str, folder: Path) -> ssl.SSLContext:
    entry = ours.store().get_cert(host, [x509.DNSName(host)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf = folder / "leaf.pem"
    leaf.write_bytes(_private(ours.key) + entry.cert.to_pem())
    context.load_cert_chain(leaf)
    return context


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def _certificate(key: ec.EllipticCurvePrivateKey, begin: int = -1, end: int = 1, ca: bool | None = True) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + DAY * begin)
        .not_valid_after(now + DAY * end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_it_is_made_private_and_published(tmp_path: Path, open_umask: None) -> None:
    home = tmp_path / "new" / "home"
    ours = authority(home)
    assert _mode(home) == 0o700
    assert _mode(home / "wiretape-ca.pem") == 0o600
    assert _mode(ours.certificate_path) == 0o644
    assert b"PRIVATE" in (home / "wiretape-ca.pem").read_bytes()
    assert b"PRIVATE" not in ours.certificate_path.read_bytes()
    assert _names(home) == ["wiretape-ca-cert.pem", "wiretape-ca.pem"]


def test_the_key_is_private_while_it_is_being_written(
    tmp_path: Path, open_umask: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    link = os.link

    def looking(source: Path, target: Path) -> None:
        seen.append(_mode(source))
        link(source, target)

    monkeypatch.setattr(os, "link", looking)
    authority(tmp_path)
    assert seen == [0o600]


def test_it_is_made_once(tmp_path: Path) -> None:
    first = authority(tmp_path)
    before = (tmp_path / AUTHORITY_FILE).stat()
    second = authority(tmp_path)
    after = (tmp_path / AUTHORITY_FILE).stat()
    assert first.fingerprint() == second.fingerprint()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_starts_at_once_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        barrier.wait()
        found.append(authority(tmp_path / "home").fingerprint())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert _names(tmp_path / "home") == ["wiretape-ca-cert.pem", "wiretape-ca.pem"]


def test_one_made_meanwhile_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = authority(tmp_path / "winner")
    link = os.link

    def late(source: Path, target: Path) -> None:
        Path(target).write_bytes((winner.folder / AUTHORITY_FILE).read_bytes())
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert authority(tmp_path / "home").fingerprint() == winner.fingerprint()


def test_the_public_certificate_comes_back(tmp_path: Path) -> None:
    ours = authority(tmp_path)
    ours.certificate_path.write_bytes(b"somebody else's")
    authority(tmp_path)
    assert ours.certificate_path.read_bytes() == ours.pem


def test_the_fingerprint_is_what_openssl_prints(tmp_path: Path) -> None:
    ours = authority(tmp_path)
    command = ["openssl", "x509", "-in", str(ours.certificate_path), "-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip().split("=")[1] == ours.fingerprint()


def test_it_is_valid_for_ten_years_and_signs_leaves_only(tmp_path: Path) -> None:
    ours = authority(tmp_path)
    assert 3640 * DAY < ours.expires - datetime.datetime.now(datetime.UTC) < 3660 * DAY
    constraints = ours.certificates[0].extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_strict_clients_accept_its_leaves(tmp_path: Path) -> None:
    ours = authority(tmp_path)
    client = ssl.create_default_context(cafile=ours.certificate_path)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    server = _server(ours, "api.example.com", tmp_path)
    assert _handshake(server, client, "api.example.com").version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        _handshake(server, client, "api.example.org")


def test_another_home_is_another_authority(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    client = ssl.create_default_context(cafile=theirs.certificate_path)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(_server(ours, "api.example.com", tmp_path), client, "api.example.com")
    # Both have one name, so a client that trusts both has to tell them apart by their keys.
    client.load_verify_locations(ours.certificate_path)
    _handshake(_server(ours, "api.example.com", tmp_path), client, "api.example.com")
    _handshake(_server(theirs, "api.example.com", tmp_path), client, "api.example.com")


def test_an_authority_of_the_users_own_with_its_chain(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate(ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / AUTHORITY_FILE).write_bytes(_private(key) + _certificate(key) + root)
    ours = authority(tmp_path)
    assert ours.pem.endswith(root)
    assert len(ours.store().get_cert("a.example", [x509.DNSName("a.example")]).chain_certs) == 2


KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "not a private key and a certificate"),
    "noise": (lambda: b"\xff\x00 no PEM", "not a private key and a certificate"),
    "only the key": (lambda: _private(KEY), "not a private key and a certificate"),
    "only the certificate": (lambda: _certificate(KEY), "not a private key and a certificate"),
    "somebody else's key": (lambda: _private(OTHER) + _certificate(KEY), "do not belong together"),
    "a password": (lambda: _private(KEY, b"secret") + _certificate(KEY), "without a password"),
    "expired": (lambda: _private(KEY) + _certificate(KEY, -9, -1), "expired on"),
    "not yet valid": (lambda: _private(KEY) + _certificate(KEY, 1, 9), "is not valid before"),
    "no authority": (lambda: _private(KEY) + _certificate(KEY, ca=False), "may not sign"),
    "no constraints": (lambda: _private(KEY) + _certificate(KEY, ca=None), "may not sign"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_authority_is_one_clear_line_and_stays(case: str, tmp_path: Path) -> None:
    make, message = BROKEN[case]
    path = tmp_path / AUTHORITY_FILE
    path.write_bytes(content := make())
    with pytest.raises(CertificateError, match=message) as caught:
        authority(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert _names(tmp_path) == [AUTHORITY_FILE]


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / AUTHORITY_FILE).mkdir()
    with pytest.raises(CertificateError, match=r"cannot be used .*--home"):
        authority(tmp_path)


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("mine")
    with pytest.raises(CertificateError, match="cannot be used"):
        authority(home)
    assert home.read_text() == "mine"


def test_write_whole_leaves_equal_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"one")
    before = path.stat()
    write_whole(path, b"one")
    assert path.stat().st_ino == before.st_ino
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert _names(tmp_path) == ["file"]


def test_write_whole_into_nowhere(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="cannot be written"):
        write_whole(tmp_path / "absent" / "file", b"one")
