"""The two matrix products of diff attention in float32, as an ONNX graph that onnxruntime runs on one core.

Its products are as fast as any here, need no setting of threads, and what a row gives depends on no other row, which is
not so of OpenBLAS behind numpy: there a distance would change in its last bits with the place of the row in its tile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_engine.attention import Attention
from reid_engine.graph import OPSET, opened

KEPT = 4  # sessions: of the bundles in use
FLOAT = 1  # the file format's number of the type
IR_VERSION = 9  # of the file format; what every onnxruntime since 1.16 reads


def float32_products(attention: Attention, constant: NDArray[np.float32]) -> Any:
    """A function from mixed rows (T, D) to logits (T, D): w2 relu(w1 row + constant). Raises BadConfig."""
    run = _session(attention).run
    return lambda mixed: run(None, {"rows": mixed, "constant": constant})[0]


@lru_cache(KEPT)
def _session(attention: Attention) -> Any:
    return opened(_graph(attention))


def _graph(attention: Attention) -> bytes:
    from onnx import helper, numpy_helper

    steps = [
        helper.make_node("MatMul", ["rows", "reduce"], ["reduced"]),
        helper.make_node("Add", ["reduced", "constant"], ["shifted"]),
        helper.make_node("Relu", ["shifted"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "expand"], ["logits"]),
    ]
    rows, logits = (helper.make_tensor_value_info(name, FLOAT, ["n", attention.dim]) for name in ("rows", "logits"))
    constant = helper.make_tensor_value_info("constant", FLOAT, [attention.hidden])
    layers = {"reduce": attention.w1, "expand": attention.w2}
    weights = [numpy_helper.from_array(np.ascontiguousarray(layer.T), name) for name, layer in layers.items()]
    graph = helper.make_graph(steps, "products", [rows, constant], [logits], weights)
    opset = helper.make_opsetid("", OPSET)
    whole: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
    return whole
