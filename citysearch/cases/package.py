"""A package of files as one ZIP that proves its own integrity, and the proof.

Beside the files (see contents.py) it holds manifest.json (path, bytes, sha256), manifest.sig, its Ed25519 signature by
this installation's key, and the public half of that key.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from citysearch.cases.contents import CREED, File, as_json
from citysearch.gallery.files import CONTENT_TYPES, sha256_of, suffix_of

MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "signer.pem"
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


def package_write(files: Iterable[File]) -> IO[bytes]:
    """The files and their signed manifest as a ZIP in a temporary file; each is written before the next is made."""
    target = TemporaryFile()  # noqa: SIM115  whoever sends it closes it
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        rows = sorted((_written(package, *file) for file in files), key=itemgetter("path"))
        manifest = as_json({"note": CREED, "files": rows})
        key = signing_key()
        package.writestr(MANIFEST, manifest)
        package.writestr(SIGNATURE, key.sign(manifest))
        package.writestr(PUBLIC_KEY, public_key_of(key))
    target.seek(0)
    return target


def package_faults(path: Path, public_key: bytes | None = None) -> Iterator[str]:
    """What is wrong with an exported package: altered, missing, extra, cut short, or signed by another key."""
    try:
        with zipfile.ZipFile(path) as package:
            yield from _signature_faults(package, public_key or public_key_of(signing_key()))
            yield from _content_faults(package)
    except UNREADABLE as error:
        yield f"{path}: {error}"


def signing_key() -> Ed25519PrivateKey:
    """This installation's key, made at its first use and kept readable for its owner alone."""
    path = Path(settings.VAR_DIR) / "export_key.pem"
    if not path.exists():
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        partial = path.with_suffix(".part")
        partial.touch(mode=0o600)
        partial.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form))
        partial.replace(path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 key")
    return key


def public_key_of(key: Ed25519PrivateKey) -> bytes:
    """The public half as PEM, for whoever is to check packages elsewhere."""
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form)


def _written(package: zipfile.ZipFile, name: str, data: bytes) -> dict[str, Any]:
    """Put a file into the package and return its line of the manifest; pictures are small already."""
    stored = suffix_of(name) in CONTENT_TYPES
    package.writestr(name, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return {"path": name, "bytes": len(data), "sha256": sha256_of(data)}


def _signature_faults(package: zipfile.ZipFile, public_key: bytes) -> Iterator[str]:
    key = serialization.load_pem_public_key(public_key)
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(_read(package, SIGNATURE), _read(package, MANIFEST))
    except InvalidSignature:
        yield f"{MANIFEST}: not signed by this key"


def _content_faults(package: zipfile.ZipFile) -> Iterator[str]:
    try:
        named = {row["path"]: row["sha256"] for row in json.loads(_read(package, MANIFEST))["files"]}
    except (ValueError, KeyError, TypeError):
        yield f"{MANIFEST}: missing or unreadable"
        return
    present = package.namelist()
    for name, sha256 in named.items():
        if name not in present:
            yield f"{name}: missing"
        elif sha256_of(package.read(name)) != sha256:
            yield f"{name}: altered"
    for name in set(present) - named.keys() - {MANIFEST, SIGNATURE, PUBLIC_KEY}:
        yield f"{name}: not in the manifest"
    yield from (f"{name}: there twice" for name in sorted({name for name in present if present.count(name) > 1}))


def _read(package: zipfile.ZipFile, name: str) -> bytes:
    """A file of the package, empty where it is missing."""
    return package.read(name) if name in package.namelist() else b""
