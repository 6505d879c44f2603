"""Extractors that are used as they are: an ONNX file inside the bundle, or features that somebody else takes.

Both are frozen: diff attention alone is trained over them. A bundle carries the ONNX file's bytes among its weights.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import BadConfig, BundleMismatch
from ..messages import gettext_noop as _


class OnnxExtractor(nn.Module):
    """Images (B, 3, H, W), normalised -> features (B, D) of an ONNX graph of `size` bytes with one input, one output.

    Run by onnxruntime on the CPU. Raises BadConfig where that is not installed or the bytes are no such graph.
    """

    graph: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.dim, self.options = dim, {"dim": dim, "size": size}
        self.register_buffer("graph", torch.zeros(size, dtype=torch.uint8))
        self._session: Any = None
        self._opening = threading.Lock()

    def forward(self, images: Tensor) -> Tensor:
        session = self._opened()
        entry = session.get_inputs()[0]
        fixed = entry.shape[0] if isinstance(entry.shape[0], int) else len(images)
        pixels = images.detach().cpu().float().contiguous().numpy()
        parts = [_run(session, entry.name, pixels[at : at + fixed], fixed) for at in range(0, len(pixels), fixed)]
        return torch.from_numpy(np.concatenate([np.empty((0, self.dim), np.float32), *parts])).to(images.device)

    def _opened(self) -> Any:
        with self._opening:
            if self._session is None:
                self._session = session_of(self.graph.cpu().numpy().tobytes())
            return self._session


class Unseeing(nn.Module):
    """Stands where a bundle over somebody else's features of size `dim` has no extractor: it refuses every picture."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.options = dim, {"dim": dim}

    def forward(self, images: Tensor) -> Tensor:
        raise BundleMismatch(
            _("this bundle ranks features of another extractor and sees no pictures; give it .npy features")
        )


def read_onnx(path: Path, height: int, width: int) -> OnnxExtractor:
    """The extractor of a file. Raises BadConfig where it takes pictures of another size or gives no vectors."""
    content = path.read_bytes()
    session = session_of(content)
    shape = session.get_inputs()[0].shape
    wanted = [side if isinstance(side, int) else given for side, given in zip(shape[2:], (height, width), strict=True)]
    if wanted != [height, width]:
        text = _("%(path)s takes pictures of %(height)s x %(width)s; give --height %(height)s --width %(width)s")
        raise BadConfig(text, path=path, height=wanted[0], width=wanted[1], option="height")
    probe = np.zeros((shape[0] if isinstance(shape[0], int) else 1, 3, height, width), np.float32)
    found = session.run(None, {session.get_inputs()[0].name: probe})[0]
    if found.ndim != 2:
        vectors = _("%(path)s gives %(shape)s for a picture; needed is one vector")
        raise BadConfig(vectors, path=path, shape=found.shape, option="init")
    return onnx_extractor(content, int(found.shape[1]))


def onnx_extractor(content: bytes, dim: int) -> OnnxExtractor:
    """The extractor of a graph's bytes that gives vectors of size `dim`."""
    extractor = OnnxExtractor(dim, len(content))
    extractor.graph.copy_(torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
    return extractor


def session_of(content: bytes) -> Any:
    """An onnxruntime session on one core of the CPU. Raises BadConfig."""
    try:
        import onnxruntime
    except ImportError as error:
        text = _("an ONNX extractor needs the package onnxruntime (%(error)s); pip install -r requirements.txt")
        raise BadConfig(text, error=error, option="init") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own kinds, all of them plain exceptions
        unread = _("the ONNX extractor cannot be read: %(error)s")
        raise BadConfig(unread, error=error, option="init") from error
    if len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        pictures = _("the ONNX extractor must take one batch of pictures (N, 3, H, W)")
        raise BadConfig(pictures, option="init")
    return session


def _run(session: Any, name: str, pixels: np.ndarray, size: int) -> np.ndarray:
    """One batch, filled up to the size the graph is fixed to."""
    padding = np.zeros((size - len(pixels), *pixels.shape[1:]), np.float32)
    found: np.ndarray = session.run(None, {name: np.concatenate([pixels, padding])})[0]
    return found[: len(pixels)].astype(np.float32)
