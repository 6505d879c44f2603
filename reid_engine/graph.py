"""A network as an ONNX graph, traced by torch: what an export writes, and what a bundle carries for the CPU."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

OPSET = 17


def traced(module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> bytes:
    """The graph of `module` as ONNX bytes; the first size of every input and output is free.

    The tracing exporter: the newer one needs a package more and gives no other graph for these modules. `query` may
    have a first size of its own: one query against many rows.
    """
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
