"""The GPU's kernel, run by Triton's interpreter in a process of its own, against the CPU's distances."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

COMPARED = """
import json, numpy as np, torch
from reid_engine.gpu import Resident
from reid_engine.ranking import Attention, exact_distances

def compared(dim, hidden, transform, activation, metric, dtype, seed):
    torch.manual_seed(seed)
    w1, w2 = torch.randn(hidden, dim) / dim**0.5, 2 * torch.randn(dim, hidden) / hidden**0.5
    attention = Attention(w1.numpy(), w2.numpy(), 0.7, 0.3, 0.2, 0.1, transform, activation, metric)
    rng = np.random.default_rng(seed)
    rows, queries = rng.normal(size=(70, dim)).astype(np.float16), rng.normal(size=(3, dim)).astype(np.float32)
    resident, exact = Resident(attention, rows, dtype), [exact_distances(attention, query, rows) for query in queries]
    nearest = resident.nearest(queries, 1)[1][:, 0].tolist()
    return float(abs(resident.distances(queries).numpy() - exact).max()), nearest == np.argmin(exact, 1).tolist()

cases = [
    (64, 16, "abs", "sigmoid", "euclidean"),
    (100, 3, "squ", "sigmoid", "cosine"),
    (33, 33, "sub", "none", "euclidean"),
]
found = [[*compared(*case, dtype, 0)] for case in cases for dtype in (torch.float32, torch.float16)]
print(json.dumps(found))
"""


def test_the_gpu_kernel_computes_the_same_distances_for_several_queries_and_ragged_sizes() -> None:
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", COMPARED], env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert [nearest for _, nearest in found] == [True] * 6
    assert max(error for error, _ in found[::2]) < 1e-5, "float32 products"
    assert max(error for error, _ in found[1::2]) < 2e-3, "float16 products"
