"""One trained model in one file: weights, configuration, preprocessing, figures and calibration, under checksums.

A bundle `<name>.reid` is a ZIP without compression: `manifest.json`; `weights.pt` (matrices in float16); what a search
on a CPU needs of them without torch, the weights of diff attention in `attention.npz` and the network as an ONNX graph
in `network.onnx`, unless it is somebody else's file; and, where its calibration asks for them, `strangers.npy`:
directions of features of people who are in no gallery, int8. Its archive comment, the file's last 64 bytes, is the
sha256 of all bytes before: a flipped byte anywhere is found.
Only `write`, `Bundle.state_dict` and `Bundle.model` load torch; web process and workers read and search without it.
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

import numpy as np
from numpy.typing import NDArray

from .attention import WEIGHTS as ATTENTION_WEIGHTS
from .attention import Attention
from .errors import BundleCorrupt, BundleMismatch, ReportUnwritten
from .messages import gettext_noop as _

if TYPE_CHECKING:
    from torch import Tensor

    from .models.reid_model import ReidModel

FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent / "bundles" / "citysearch.reid"
MANIFEST, WEIGHTS, ATTENTION = "manifest.json", "weights.pt", "attention.npz"
NETWORK, STRANGERS = "network.onnx", "strangers.npy"
REQUIRED = ("name", "created", "dim", "config", "preprocessing", "metrics", "calibration", "files")
DIGEST_BYTES = 64
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes were checked. `sha256` is the file's; `files` its members but the manifest, by name."""

    path: Path
    sha256: str
    manifest: dict[str, Any]
    files: dict[str, bytes]

    @property
    def strangers(self) -> NDArray[np.float32] | None:
        """Directions of features (C, D) of people who are in no gallery; None where the bundle has none."""
        if STRANGERS not in self.files:
            return None
        rows = np.load(io.BytesIO(self.files[STRANGERS]), allow_pickle=False).astype(np.float32)
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), np.float32)

    @property
    def attention(self) -> Attention:
        """The weights of diff attention; read by torch where the bundle is older than `attention.npz`."""
        return Attention.from_weights(self._attention_weights(), self.manifest["config"].get("diff_attention", {}))

    def _attention_weights(self) -> Mapping[str, Any]:
        if ATTENTION in self.files:
            return dict(np.load(io.BytesIO(self.files[ATTENTION]), allow_pickle=False))
        state = self.state_dict
        return {name: state[f"attention.{name}"].numpy() for name in ATTENTION_WEIGHTS}

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """The weights by name, matrices in float16, everything else in float32. Raises BundleCorrupt."""
        import torch

        try:
            state: dict[str, Tensor] = torch.load(
                io.BytesIO(self.files[WEIGHTS]), map_location="cpu", weights_only=True
            )
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


def write(
    path: Path | str, model: ReidModel, manifest: Mapping[str, Any], strangers: NDArray[np.floating] | None = None
) -> None:
    """Writes `model` without its classifier, atomically: beside the target, synced, renamed.

    `manifest` gives name, created, config, preprocessing, metrics, calibration; version, size and checksums are added.
    `strangers` (C, D) are features of people in no gallery; their directions are kept to 1/127 of the largest number.
    Raises BundleMismatch when one is missing, ReportUnwritten when the disk is full (an older bundle then stays whole).
    """
    state = _state_of(model)
    target, files = Path(path), {WEIGHTS: _weights_of(state), ATTENTION: _attention_of(state)}
    if strangers is not None:
        files[STRANGERS] = _directions(strangers)
    facts = {"format_version": FORMAT_VERSION, "dim": model.dim, **manifest, "files": {}}
    _require(facts, target)
    files |= _network_of(Bundle(target, "", facts, files))
    facts["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    write_whole(target, _sealed({MANIFEST: json.dumps(facts, indent=1, sort_keys=True).encode(), **files}))


def read(path: Path | str) -> Bundle:
    """The bundle at `path`. Raises BundleCorrupt (missing, damaged) or BundleMismatch (another format)."""
    source = Path(path)
    content = _checked_bytes(source)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            manifest = json.loads(archive.read(MANIFEST))
            files = {name: archive.read(name) for name in {WEIGHTS, *manifest.get("files", ())}}
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise BundleCorrupt(_("%(path)s is not a bundle: %(error)s"), error=error, path=str(source)) from error
    _require(manifest, source)
    for name, held in files.items():
        if manifest["files"].get(name) != hashlib.sha256(held).hexdigest():
            text = _("%(path)s: its %(file)s is not the one its manifest names")
            raise BundleCorrupt(text, path=str(source), file=name)
    return Bundle(source, hashlib.sha256(content).hexdigest(), manifest, files)


def read_manifest(path: Path | str) -> dict[str, Any]:
    """The manifest of a checked bundle; loads no torch. Raises as `read`."""
    return read(path).manifest


def verify(path: Path | str) -> None:
    """Raises BundleCorrupt or BundleMismatch unless every byte is as it was written; loads no torch."""
    read(path)


def _state_of(model: ReidModel) -> dict[str, Tensor]:
    """Matrices and kernels in float16; statistics and scales stay float32, whose range float16 does not cover."""
    return {
        name: value.detach().cpu().half() if value.dim() > 1 else value.detach().cpu()
        for name, value in model.state_dict().items()
        if not name.startswith("classifier.")
    }


def _weights_of(state: Mapping[str, Tensor]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({name: value.clone().contiguous() for name, value in state.items()}, buffer)
    return buffer.getvalue()


def _attention_of(state: Mapping[str, Tensor]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: state[f"attention.{name}"].numpy() for name in ATTENTION_WEIGHTS})  # type: ignore[arg-type]
    return buffer.getvalue()


def _network_of(bundle: Bundle) -> dict[str, bytes]:
    """The network with the weights as they are kept: pictures (n, 3, H, W), normalised -> features (n, D)."""
    import torch

    from .graph import traced
    from .models.foreign import OnnxExtractor, Unseeing

    model, preprocessing = bundle.model(), bundle.manifest["preprocessing"]
    if isinstance(model.backbone, OnnxExtractor | Unseeing):
        return {}
    pictures = torch.zeros(2, 3, int(preprocessing["height"]), int(preprocessing["width"]))
    return {NETWORK: traced(model, {"pictures": pictures}, ["features"])}


def _directions(features: NDArray[np.floating]) -> bytes:
    """Each row scaled to use all of int8: its direction is kept, its length is not."""
    wide = np.asarray(features, np.float32)
    scaled = wide * (127 / np.maximum(np.abs(wide).max(axis=1, keepdims=True), 1e-12))
    buffer = io.BytesIO()
    np.save(buffer, np.round(scaled).astype(np.int8))
    return buffer.getvalue()


def _sealed(files: Mapping[str, bytes]) -> bytes:
    """The archive with its own sha256 as comment; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
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


def write_whole(target: Path, content: bytes) -> None:
    """Beside the target, synced, renamed: whole or not at all. Raises ReportUnwritten; an older file then stays."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        text = _("%(path)s cannot be written: %(reason)s")
        raise ReportUnwritten(text, reason=error.strerror or error, path=str(target)) from error
    finally:
        partial.unlink(missing_ok=True)
