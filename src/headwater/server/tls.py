"""A certificate authority of the home's own, and the server certificate that it signs.

Trino, JDBC and PySpark clients send tokens over TLS only. They trust `ca.pem`, which stays the same
for ten years; the server's certificate lasts a year and is renewed at a start within its last month
or when the names it must hold have changed. RFC 5280 profile; keys are P-256.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headwater.errors import ErrorCode, error
from headwater.server.home import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

_AUTHORITY_DAYS = 3650
_LEAF_DAYS = 365
_RENEW_DAYS = 30
_CLOCK_SKEW = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files: the authority that clients trust, and the server's chain and key."""

    authority: Path
    chain: Path
    key: Path


def server_names(extra: Iterable[str] = ()) -> tuple[str, ...]:
    """The names and addresses that the server's certificate holds, without repetition."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname(), *extra]
    return tuple(dict.fromkeys(name for name in names if name and not _is_wildcard(name)))


def ensure_certificates(folder: Path, names: Iterable[str]) -> Certificates:
    """Makes or renews what is missing in `folder`; private keys are 0600.

    Raises INVALID_ARGUMENT when a file there is not what it should be.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority_key_file = folder / "ca.key"
    now = datetime.datetime.now(datetime.UTC)
    try:
        if files.authority.exists() and authority_key_file.exists():
            authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
            loaded = serialization.load_pem_private_key(authority_key_file.read_bytes(), None)
            if not isinstance(loaded, ec.EllipticCurvePrivateKey):
                raise ValueError("ca.key is not an elliptic-curve key")
            authority_key = loaded
        else:
            authority_key = ec.generate_private_key(ec.SECP256R1())
            authority = _authority(authority_key, now)
            write_private(authority_key_file, _pem_key(authority_key))
            write_private(files.authority, authority.public_bytes(serialization.Encoding.PEM))
        wanted = tuple(names)
        if files.chain.exists() and files.key.exists():
            leaf = x509.load_pem_x509_certificate(files.chain.read_bytes())
            if _is_current(leaf, authority, wanted, now):
                return files
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _leaf(key, authority, authority_key, wanted, now)
        pem = serialization.Encoding.PEM
        write_private(files.key, _pem_key(key))
        write_private(files.chain, leaf.public_bytes(pem) + authority.public_bytes(pem))
    except ValueError as exc:
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"the certificates in {folder} cannot be read: {exc}",
            hint="remove that folder; a new authority is made, which clients must trust anew",
        ) from exc
    return files


def expires_at(chain: Path) -> datetime.datetime:
    """When the server's certificate ends (UTC)."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc


def _authority(key: ec.EllipticCurvePrivateKey, now: datetime.datetime) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _subject(f"Headwater local authority on {socket.gethostname()}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    now: datetime.datetime,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(_subject("Headwater"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=_LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _is_current(
    leaf: x509.Certificate,
    authority: x509.Certificate,
    names: tuple[str, ...],
    now: datetime.datetime,
) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    if (
        not leaf.not_valid_before_utc
        <= now
        < leaf.not_valid_after_utc - datetime.timedelta(days=_RENEW_DAYS)
    ):
        return False
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(held) == {_alternative(name) for name in names}


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_wildcard(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
