"""A network as an ONNX graph: traced by torch, which only that needs; run by onnxruntime on a CPU."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadConfig
from .messages import gettext_noop as _

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17

Pictures = NDArray[np.float32]
Vectors = NDArray[np.float32]


class Network:
    """Pictures (B, 3, H, W), normalised -> features (B, D) of a graph, on one core; several threads may share it.

    Raises BadConfig where onnxruntime is not installed or the bytes are no such graph.
    """

    def __init__(self, content: bytes) -> None:
        self.session = session_of(content)
        entry = self.session.get_inputs()[0]
        self.name, self.fixed = entry.name, entry.shape[0] if isinstance(entry.shape[0], int) else None

    def __call__(self, pictures: Pictures) -> Vectors:
        size = self.fixed or max(1, len(pictures))
        return np.concatenate([self._run(pictures[at : at + size], size) for at in range(0, len(pictures), size)])

    def _run(self, pictures: Pictures, size: int) -> Vectors:
        """One batch, filled up to the size the graph is fixed to."""
        padding = np.zeros((size - len(pictures), *pictures.shape[1:]), np.float32)
        whole = np.concatenate([pictures, padding]) if len(padding) else pictures
        found: NDArray[Any] = self.session.run(None, {self.name: whole})[0]
        return found[: len(pictures)].astype(np.float32, copy=False)


def session_of(content: bytes) -> Any:
    """A session over pictures. Raises BadConfig."""
    session = opened(content)
    if len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        pictures = _("the ONNX extractor must take one batch of pictures (N, 3, H, W)")
        raise BadConfig(pictures, option="init")
    return session


def opened(content: bytes) -> Any:
    """An onnxruntime session on one core of the CPU, which threads may share. Raises BadConfig."""
    try:
        import onnxruntime
    except ImportError as error:
        text = _("an ONNX extractor needs the package onnxruntime (%(error)s); pip install -r requirements.txt")
        raise BadConfig(text, error=error, option="init") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own kinds, all of them plain exceptions
        unread = _("the ONNX extractor cannot be read: %(error)s")
        raise BadConfig(unread, error=error, option="init") from error


def traced(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> bytes:
    """The graph of `module` as ONNX bytes; the first size of every input and output is free.

    The tracing exporter: the newer one needs a package more and gives no other graph for these modules. `query` may
    have a first size of its own: one query against many rows.
    """
    import torch

    free = {name: {0: "m" if name == "query" else "n"} for name in (*inputs, *outputs)}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]  # only the newer exporter wants a path
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=free,
        )
    return buffer.getvalue()
