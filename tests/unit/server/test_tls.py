import datetime
import socket
import ssl
import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from headwater.errors import ErrorCode, HeadwaterError
from headwater.server import tls

NAMES = ("localhost", "127.0.0.1", "::1", "lake.example")


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_private_and_lives_are_bounded(tmp_path):
    files = tls.ensure_certificates(tmp_path, NAMES)
    for key in (files.key, tmp_path / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    now = datetime.datetime.now(datetime.UTC)
    assert (load(files.chain).not_valid_after_utc - now).days in (364, 365)
    assert (load(files.authority).not_valid_after_utc - now).days in (3649, 3650)


def test_a_client_that_trusts_the_authority_connects(tmp_path):
    files = tls.ensure_certificates(tmp_path, NAMES)
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(files.chain, files.key)
    trusting = ssl.create_default_context(cafile=str(files.authority))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1"):
        here, there = socket.socketpair()

        def serve(there=there):
            with served.wrap_socket(there, server_side=True) as secure:
                secure.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        with trusting.wrap_socket(here, server_hostname=name) as secure:
            secure.send(b"x")
        thread.join(10)


def test_nothing_is_renewed_without_need(tmp_path):
    before = tls.ensure_certificates(tmp_path, NAMES).chain.read_bytes()
    assert tls.ensure_certificates(tmp_path, NAMES).chain.read_bytes() == before


def test_a_new_name_renews_the_leaf_and_keeps_the_authority(tmp_path):
    files = tls.ensure_certificates(tmp_path, NAMES)
    authority, leaf = files.authority.read_bytes(), files.chain.read_bytes()
    tls.ensure_certificates(tmp_path, (*NAMES, "other.example"))
    assert files.authority.read_bytes() == authority
    assert files.chain.read_bytes() != leaf


def test_the_leaf_is_renewed_in_its_last_month(tmp_path, monkeypatch):
    files = tls.ensure_certificates(tmp_path, NAMES)
    leaf = files.chain.read_bytes()
    monkeypatch.setattr(tls, "_RENEW_DAYS", 366)
    tls.ensure_certificates(tmp_path, NAMES)
    assert files.chain.read_bytes() != leaf


def test_a_leaf_of_another_authority_is_replaced(tmp_path):
    files = tls.ensure_certificates(tmp_path, NAMES)
    stranger = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    other = tls._authority(stranger, now)
    leaf = tls._leaf(key, other, stranger, NAMES, now)
    files.chain.write_bytes(leaf.public_bytes(Encoding.PEM))
    tls.ensure_certificates(tmp_path, NAMES)
    load(files.chain).verify_directly_issued_by(load(files.authority))


def test_a_damaged_authority_is_named(tmp_path):
    tls.ensure_certificates(tmp_path, NAMES)
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(HeadwaterError) as caught:
        tls.ensure_certificates(tmp_path, NAMES)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert str(tmp_path) in caught.value.message
