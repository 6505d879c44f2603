"""Start an OSNet from an ONNX extractor whose batch normalisations were folded into its convolutions.

Folding leaves `y = conv'(x) + b'`. Each BatchNorm is rebuilt around it from statistics measured on real crops:
running mean m and variance v of conv'(x), weight sqrt(v + eps), bias b' + m. In eval mode the network then equals the
ONNX graph, in train mode nearly so, and fine-tuning starts from sane normalisation.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import BadConfig
from ..messages import gettext_noop as _
from .osnet import OSNet


def load_onnx_osnet(network: OSNet, path: Path | str, crops: Tensor) -> None:
    """Fills `network` from the file; `crops` (N, 3, H, W), normalised, a few hundred, give the statistics.

    Raises BadConfig when the onnx package is missing or the graph is not an OSNet of this width.
    """
    weights, biases = _match_convolutions(network, _graph_of(path))
    with torch.no_grad():
        for name, weight in weights.items():
            network.get_parameter(name).copy_(weight)
    _rebuild_norms(network, biases, crops)


def _graph_of(path: Path | str) -> tuple[list[tuple[Tensor, Tensor | None]], dict[str, Tensor]]:
    """The convolutions' (weight, bias) in order of execution, each once, and every named initialiser."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        text = _("an .onnx file of weights needs the onnx package (requirements.txt)")
        raise BadConfig(text, option="init") from error
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # onnx raises protobuf, OS and value errors alike
        raise BadConfig(
            _("%(path)s cannot be read as an ONNX graph: %(error)s"), path=path, error=error, option="init"
        ) from error
    named = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    steps = [list(node.input) for node in graph.node if node.op_type == "Conv"]
    first = list({names[1]: names for names in reversed(steps)}.values())
    order = sorted(first, key=lambda names: steps.index(names))
    return [(named[names[1]], named[names[2]] if len(names) > 2 else None) for names in order], named


def _execution_order(network: OSNet) -> list[tuple[str, nn.Conv2d]]:
    """Convolutions in the order the ONNX graph runs them, which is their order of definition."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]


def _match_convolutions(
    network: OSNet, graph: tuple[list[tuple[Tensor, Tensor | None]], dict[str, Tensor]]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters by name, and the folded bias of each convolution by the convolution's name."""
    steps, named = graph
    modules = _execution_order(network)
    if [weight.shape for weight, _ in steps] != [module.weight.shape for _, module in modules]:
        raise BadConfig(_("the ONNX graph is not an OSNet of this width"), option="init")
    weights = {f"{name}.weight": weight for (name, _), (weight, _) in zip(modules, steps, strict=True)}
    biases = {name: bias for (name, _), (_, bias) in zip(modules, steps, strict=True) if bias is not None}
    weights |= {f"{name}.bias": bias for name, bias in biases.items() if ".gate." in name}
    weights |= {name: named[name] for name in ("fc.0.weight", "fc.0.bias", "fc.1.weight", "fc.1.bias")}
    with torch.no_grad():
        for buffer in ("fc.1.running_mean", "fc.1.running_var"):
            network.get_buffer(buffer).copy_(named[buffer])
    return weights, biases


def _rebuild_norms(network: OSNet, biases: dict[str, Tensor], crops: Tensor) -> None:
    """One forward pass in eval mode; before each BatchNorm runs, its statistics are set from its input."""
    hooks = []
    for name, bias in biases.items():
        if ".gate." in name:
            continue
        hooks.append(_norm_after(network, name).register_forward_pre_hook(_measure(bias)))
    network.eval()
    try:
        with torch.no_grad():
            network(crops)
    finally:
        for hook in hooks:
            hook.remove()


def _norm_after(network: OSNet, convolution: str) -> nn.Module:
    """The normalisation of a convolution's output: beside it, or the block's instance norm where that one is empty."""
    owner = network.get_submodule(convolution.rpartition(".")[0])
    if not isinstance(owner.bn, nn.Identity):
        return owner.bn  # type: ignore[return-value]
    return network.get_submodule(convolution.rpartition(".conv3.")[0]).inside  # type: ignore[return-value]


def _measure(bias: Tensor):  # type: ignore[no-untyped-def]
    """Sets a norm from its first input; an instance norm gets the average spread of the crops, its start is near."""

    def hook(norm: nn.BatchNorm2d | nn.InstanceNorm2d, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias + mean)

    return hook
