"""A bundle as two ONNX graphs that run without torch, each compared with the bundle before it is kept.

    extractor.onnx        images (N, 3, H, W) float32 0..255, resized -> features (N, D), the mean over the views
    diff_attention.onnx   query (1, D) or (N, D), gallery (N, D)      -> distance (N,), attention (N, D)

Normalisation is part of the first graph; the sizes, the bundle's checksum, its preprocessing and its calibration are
metadata of both. The batch size N is free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .bundle import Bundle, read
from .errors import BadConfig, ExportFailed, ReportUnwritten
from .graph import traced
from .messages import gettext_noop as _
from .models.diff_attention import DiffAttention
from .models.foreign import OnnxExtractor, Unseeing

TOLERANCE = 1e-3
EXTRACTOR, ATTENTION = "extractor.onnx", "diff_attention.onnx"
PROBES = 3


@dataclass(frozen=True)
class Graph:
    """A graph that was written, and the largest difference of its outputs from the bundle's."""

    path: Path
    difference: float


class Extractor(nn.Module):
    """Pixels (N, 3, H, W) 0..255 -> features (N, D): normalised, through the network, the mean over the views."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, preprocessing: dict[str, Any]) -> None:
        super().__init__()
        self.network, self.views = network, tuple(preprocessing.get("views") or ("plain",))
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(preprocessing[name], dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        batch = (images / 255 - self.mean) / self.std
        views = [self.network(batch.flip(3) if view == "flip" else batch) for view in self.views]
        return torch.stack(views).mean(0)


class PairDistance(nn.Module):
    """query (1 or N, D), gallery (N, D), raw features -> (distance (N,), attention (N, D))."""

    def __init__(self, attention: DiffAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
        pair = query.expand_as(gallery)
        return self.attention.distance(pair, gallery), self.attention(pair, gallery)


def export(bundle_path: Path | str, folder: Path) -> list[Graph]:
    """Writes both graphs of a bundle to `folder`; diff attention alone where the extractor is a file of its own.

    Raises BadConfig where onnx or onnxruntime is missing, ExportFailed where an output differs from the bundle's by
    more than TOLERANCE (nothing is kept then), ReportUnwritten where the folder cannot be written, BundleCorrupt.
    """
    runtime_or_refuse()
    bundle = read(bundle_path)
    model, facts = bundle.model(), _facts(bundle)
    size = tuple(int(bundle.manifest["preprocessing"][side]) for side in ("height", "width"))
    images = {"images": _uniform((PROBES, 3, *size)) * 255}
    spread = float(model.neck.weight.detach().abs().mean())
    pairs = {name: _normal((PROBES, model.dim), seed) * spread for seed, name in ((1, "query"), (2, "gallery"))}
    extractor = Extractor(model, bundle.manifest["preprocessing"]).eval()
    frozen = isinstance(model.backbone, OnnxExtractor | Unseeing)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        taken = [] if frozen else [_written(folder / EXTRACTOR, extractor, images, ("features",), facts)]
        module = PairDistance(model.attention).eval()
        return [*taken, _written(folder / ATTENTION, module, pairs, ("distance", "attention"), facts)]


def runtime_or_refuse() -> Any:
    """The onnxruntime module. Raises BadConfig that names what to install."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        text = _("an export needs the packages onnx and onnxruntime (%(error)s); pip install -r requirements.txt")
        raise BadConfig(text, error=error, option="export") from error
    return onnxruntime


def difference(path: Path, module: nn.Module, inputs: dict[str, Tensor]) -> float:
    """The largest absolute difference between a graph's outputs and the module's on these inputs."""
    session = runtime_or_refuse().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.inference_mode():
        wanted = module(*inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    return max(float(np.abs(mine - theirs.numpy()).max()) for mine, theirs in zip(found, wanted, strict=True))


def _written(
    path: Path, module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...], facts: dict[str, str]
) -> Graph:
    """Writes beside the target, compares, renames. Raises ExportFailed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(traced(module, inputs, outputs))
        _describe(partial, facts)
        gap = max(difference(partial, module, probe) for probe in _probes(inputs))
        if not gap <= TOLERANCE:
            text = _("%(path)s differs from the bundle by %(difference).1e, allowed are %(allowed).0e; it was not kept")
            raise ExportFailed(text, path=str(path), difference=gap, allowed=TOLERANCE)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Graph(path, gap)


def _probes(inputs: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The inputs of the trace, and others of another batch size: what was traced in as a constant shows."""
    yield inputs
    yield {name: value[:1].flip(-1) for name, value in inputs.items()}
    if "query" in inputs:
        yield {"query": inputs["query"][:1], "gallery": inputs["gallery"]}


def _describe(path: Path, facts: dict[str, str]) -> None:
    import onnx

    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, facts)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _facts(bundle: Bundle) -> dict[str, str]:
    kept = {name: json.dumps(bundle.manifest[name]) for name in ("preprocessing", "calibration", "config")}
    return {"name": str(bundle.manifest["name"]), "bundle_sha256": bundle.sha256, **kept}


def _uniform(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportUnwritten(
            _("%(path)s cannot be written: %(reason)s"), reason=error.strerror or error, path=str(folder)
        ) from error
