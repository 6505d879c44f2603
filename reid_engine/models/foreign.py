"""Extractors that are used as they are: an ONNX file inside the bundle, or features that somebody else takes.

Both are frozen: diff attention alone is trained over them. A bundle carries the ONNX file's bytes among its weights.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import BadConfig, BundleMismatch
from ..graph import Network, session_of
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
        self._network: Network | None = None
        self._opening = threading.Lock()

    def forward(self, images: Tensor) -> Tensor:
        pictures = images.detach().cpu().float().contiguous().numpy()
        return torch.from_numpy(self._opened()(pictures)).to(images.device)

    def _opened(self) -> Network:
        with self._opening:
            if self._network is None:
                self._network = Network(self.graph.cpu().numpy().tobytes())
            return self._network


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
