"""One trained model in one file: weights, configuration, preprocessing, figures and calibration, under checksums.

A bundle `<name>.reid` is a ZIP without compression: `manifest.json` and `weights.pt` (matrices in float16). Its archive
comment, the file's last 64 bytes, is the sha256 of all bytes before: a flipped byte anywhere is found.
Only `write`, `Bundle.state_dict` and `Bundle.model` load torch; the web process reads and verifies without it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BundleCorrupt, BundleMismatch
from .messages import gettext_noop as _

if TYPE_CHECKING:
    from torch import Tensor

    from .models.reid_model import ReidModel

FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent / "bundles" / "citysearch.reid"
MANIFEST, WEIGHTS = "manifest.json", "weights.pt"
REQUIRED = ("name", "created", "dim", "config", "preprocessing", "metrics", "calibration", "files")
DIGEST_BYTES = 64
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes were checked. `sha256` is the file's; `weights` its raw weight file."""

    path: Path
    sha256: str
    manifest: dict[str, Any]
    weights: bytes

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """The weights by name, matrices in float16, everything else in float32. Raises BundleCorrupt."""
        import torch

        try:
            state: dict[str, Tensor] = torch.load(io.BytesIO(self.weights), map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises pickle, zip and runtime errors alike
            raise BundleCorrupt(
                _("%(path)s: its weights cannot be read: %(error)s"), error=error, path=str(self.path)
            ) from error
        return state

    def model(self) -> ReidModel:
        """The model in eval mode, float32. Raises BundleMismatch when the weights fit another configuration."""
        from .models import build

        model = build({**self.manifest["config"], "classes": 0})
        try:
            model.load_state_dict(self.state_dict)
        except RuntimeError as error:
            text = _("%(path)s: its weights do not fit its configuration: %(error)s")
            raise BundleMismatch(text, path=str(self.path), error=error) from error
        return model.eval()


def write(path: Path | str, model: ReidModel, manifest: Mapping[str, Any]) -> None:
    """Writes `model` without its classifier, atomically: beside the target, synced, renamed.

    `manifest` gives name, created, config, preprocessing, metrics, calibration; version, size and checksums are added.
    Raises BundleMismatch when one is missing, OSError when the disk is full (an older bundle then stays whole).
    """
    target, weights = Path(path), _weights_of(model)
    files = {"files": {WEIGHTS: hashlib.sha256(weights).hexdigest()}}
    facts = {"format_version": FORMAT_VERSION, "dim": model.dim, **manifest, **files}
    _require(facts, target)
    _replace(target, _sealed(json.dumps(facts, indent=1, sort_keys=True).encode(), weights))


def read(path: Path | str) -> Bundle:
    """The bundle at `path`. Raises BundleCorrupt (missing, damaged) or BundleMismatch (another format)."""
    source = Path(path)
    content = _checked_bytes(source)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            manifest, weights = json.loads(archive.read(MANIFEST)), archive.read(WEIGHTS)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BundleCorrupt(_("%(path)s is not a bundle: %(error)s"), error=error, path=str(source)) from error
    _require(manifest, source)
    if manifest["files"].get(WEIGHTS) != hashlib.sha256(weights).hexdigest():
        raise BundleCorrupt(_("%(path)s: its weights are not those its manifest names"), path=str(source))
    return Bundle(source, hashlib.sha256(content).hexdigest(), manifest, weights)


def read_manifest(path: Path | str) -> dict[str, Any]:
    """The manifest of a checked bundle; loads no torch. Raises as `read`."""
    return read(path).manifest


def verify(path: Path | str) -> None:
    """Raises BundleCorrupt or BundleMismatch unless every byte is as it was written; loads no torch."""
    read(path)


def _weights_of(model: ReidModel) -> bytes:
    """Matrices and kernels in float16; statistics and scales stay float32, whose range float16 does not cover."""
    import torch

    state = {
        name: value.detach().cpu().half() if value.dim() > 1 else value.detach().cpu()
        for name, value in model.state_dict().items()
        if not name.startswith("classifier.")
    }
    buffer = io.BytesIO()
    torch.save({name: value.clone().contiguous() for name, value in state.items()}, buffer)
    return buffer.getvalue()


def _sealed(manifest: bytes, weights: bytes) -> bytes:
    """The archive with its own sha256 as comment; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, EPOCH), manifest)
        archive.writestr(zipfile.ZipInfo(WEIGHTS, EPOCH), weights)
        archive.comment = b"0" * DIGEST_BYTES
    body = buffer.getvalue()[:-DIGEST_BYTES]
    return body + hashlib.sha256(body).hexdigest().encode()


def _checked_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleCorrupt(_("%(path)s cannot be read: %(reason)s"), reason=error.strerror, path=str(path)) from error
    body, seal = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).hexdigest().encode() != seal:
        text = _("%(path)s is damaged or no bundle: its checksum does not match its bytes; copy or train it again")
        raise BundleCorrupt(text, path=str(path))
    return content


def _require(manifest: Mapping[str, Any], path: Path) -> None:
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        text = _("%(path)s has bundle format %(version)s; this program reads format %(known)s")
        raise BundleMismatch(text, path=str(path), version=version, known=FORMAT_VERSION)
    missing = [name for name in REQUIRED if name not in manifest]
    if missing:
        raise BundleMismatch(_("%(path)s: its manifest lacks %(missing)s"), path=str(path), missing=", ".join(missing))


def _replace(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
