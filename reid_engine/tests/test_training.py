"""Training from end to end on tiny pictures: it learns, repeats, resumes bit for bit, and says what went wrong."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from reid_engine import bundle, data
from reid_engine.__main__ import EXIT_REFUSED, main
from reid_engine.errors import BadConfig, BadDataset, TrainingDiverged, TrainingStopped
from reid_engine.losses.triplet import batch_hard
from reid_engine.models.build import REGISTRY, build
from reid_engine.models.diff_attention import DiffAttention
from reid_engine.training import checkpoint, joint, objective, run, separate
from reid_engine.training.config import BACKBONES, TrainConfig, recipe_path
from reid_engine.training.crops import decode
from reid_engine.training.run import train
from reid_engine.training.sampler import epoch_seed, people_batches
from reid_engine.training.separate import train_separate
from reid_engine.training.situations import calibrated
from reid_engine.training.standing import Candidate
from reid_engine.training.start import start_model
from reid_engine.training.validate import Held, extract, figures

pytestmark = pytest.mark.usefixtures("untraced")


class TinyNet(nn.Module):
    """A backbone that learns colours in milliseconds: images (B, 3, H, W) -> (B, 16)."""

    dim = 16

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 2, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images).mean(dim=(2, 3))


def paint(folder: Path, people: range, rng: np.random.Generator) -> None:
    """Six crops per person before two cameras; a person is two colours, a camera a tint."""
    folder.mkdir()
    for person in people:
        top, legs = rng.integers(30, 225, (2, 3))
        for camera in (1, 2):
            for shot in range(3):
                picture = np.concatenate([np.tile(top, (16, 16, 1)), np.tile(legs, (16, 16, 1))])
                noisy = picture + rng.normal(0, 12, picture.shape) + 6 * camera
                name = f"{person:04d}_c{camera}s1_{shot:06d}_00.jpg"
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("market"), np.random.default_rng(0)
    paint(root / "bounding_box_train", range(1, 9), rng)
    paint(root / "query", range(20, 26), rng)
    paint(root / "bounding_box_test", range(20, 26), np.random.default_rng(0))
    return root


@pytest.fixture(autouse=True)
def tiny_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "osnet_x0_25", TinyNet)


def tiny(pictures: Path, out: Path, **options: object) -> TrainConfig:
    defaults = {
        "epochs": 3,
        "height": 32,
        "width": 16,
        "people_per_batch": 4,
        "crops_per_person": 3,
        "ratio": 2,
        "warmup_epochs": 1,
        "ema": 0.5,
        "pad": 2,
        "module_epochs": 2,
        "module_lrs": (1e-3,),
        "threads": 1,
    }
    return TrainConfig(data=str(pictures), out=str(out), **{**defaults, **options})


def weights(path: Path) -> dict[str, torch.Tensor]:
    return bundle.read(path).state_dict


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_joint_run_writes_a_bundle_with_its_figures(pictures: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int, int, int, dict[str, float]]] = []
    path = train(tiny(pictures, tmp_path), lambda *args: said.append(args))
    manifest = bundle.read_manifest(path)
    assert path == tmp_path / "citysearch.reid"
    assert {"attention_map", "cosine_map"} <= manifest["metrics"].keys()
    assert manifest["training"]["epochs"] == 3 and manifest["calibration"]["a"] >= 0
    steps = [call for call in said if call[3]]
    assert steps[0][:2] == (1, 3) and all(1 <= step <= of for _, _, step, of, _ in steps)
    assert any("cosine_map" in values for *_, values in said)


def test_training_lowers_the_loss(pictures: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    train(
        tiny(pictures, tmp_path, epochs=12, lr=0.02, separate_after=False),
        lambda epoch, epochs, step, steps, values: losses.append(values["loss"]) if steps else None,
    )
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])


def test_the_same_options_give_the_same_weights_and_another_seed_others(pictures: Path, tmp_path: Path) -> None:
    first, again, other = (
        train(tiny(pictures, tmp_path / name, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))


class Killed(BaseException):
    """Stands for a kill: nothing in the training may catch it."""


@pytest.mark.parametrize("at", [(2, 1), (3, 2)])
def test_a_killed_run_resumes_bit_for_bit(pictures: Path, tmp_path: Path, at: tuple[int, int]) -> None:
    whole = train(tiny(pictures, tmp_path / "whole"))

    def kill(epoch: int, epochs: int, step: int, steps: int, values: dict[str, float]) -> None:
        if (epoch, step) == at:
            raise Killed

    with pytest.raises(Killed):
        train(tiny(pictures, tmp_path / "killed"), kill)
    assert same(weights(train(tiny(pictures, tmp_path / "killed"))), weights(whole))


@pytest.mark.parametrize("within", [0, 1])
@pytest.mark.parametrize("epoch_done", [1, 3, 5])
def test_a_killed_separate_run_resumes_bit_for_bit(
    pictures: Path, tmp_path: Path, epoch_done: int, within: int
) -> None:
    """Killed between epochs and within one, of the first rate and of the second; what was done is not done again."""
    options = {"strategy": "separate", "module_epochs": 3, "module_lrs": (1e-3, 3e-3), "module_views": 1}
    calls: list[tuple[int, int]] = []
    whole = train(tiny(pictures, tmp_path / "whole", **options), lambda *args: calls.append((args[0], args[2])))
    ends = [at for at, (_, step) in enumerate(calls) if step == 1][1:] + [len(calls)]
    seen: list[tuple[int, int]] = []

    def kill(epoch: int, epochs: int, step: int, steps: int, values: dict[str, float]) -> None:
        seen.append((epoch, step))
        if len(seen) == ends[epoch_done - 1] + within:
            raise Killed

    with pytest.raises(Killed):
        train(tiny(pictures, tmp_path / "killed", **options), kill)
    again = train(tiny(pictures, tmp_path / "killed", **options), lambda *args: seen.append((args[0], args[2])))
    assert same(weights(again), weights(whole))
    assert len(ends) == 6 and len(seen) == len(calls) + within
    assert not (tmp_path / "killed" / "module.pt").exists()


def test_a_separate_run_s_checkpoint_is_of_its_options_and_features(pictures: Path, tmp_path: Path) -> None:
    def kill(epoch: int, *_: object) -> None:
        if epoch == 2:
            raise Killed

    config, frozen = tiny(pictures, tmp_path), clusters()
    with pytest.raises(Killed):
        train_separate(config, *frozen, None, kill)
    with pytest.raises(BadConfig, match="module_lrs"):
        train_separate(replace(config, module_lrs=(2e-3,)), *frozen, None, lambda *_: None)
    with pytest.raises(BadConfig, match="frozen features"):
        train_separate(config, *clusters(seed=1), None, lambda *_: None)
    found = train_separate(config, *frozen, None, lambda *_: None)
    assert found.before.processor_seconds > 0
    assert not (tmp_path / "module.pt").exists()


def test_ctrl_c_saves_within_the_epoch_and_says_how_to_go_on(pictures: Path, tmp_path: Path) -> None:
    whole = train(tiny(pictures, tmp_path / "whole"))

    def interrupt(epoch: int, epochs: int, step: int, steps: int, values: dict[str, float]) -> None:
        if (epoch, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingStopped, match="start the same command again"):
        train(tiny(pictures, tmp_path / "stopped"), interrupt)
    assert checkpoint.load(tmp_path / "stopped" / "joint.pt")["step"] == 1
    assert same(weights(train(tiny(pictures, tmp_path / "stopped"))), weights(whole))


def test_a_checkpoint_of_other_options_is_not_gone_on_with(pictures: Path, tmp_path: Path) -> None:
    train(tiny(pictures, tmp_path))
    with pytest.raises(BadConfig, match="other options"):
        train(tiny(pictures, tmp_path, lr=0.5))
    train(tiny(pictures, tmp_path, lr=0.005, resume=False))


def test_a_loss_that_is_no_number_stops_the_run(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "identity_loss", lambda logits, *_: logits.sum() * float("nan"))
    with pytest.raises(TrainingDiverged, match="lower lr"):
        train(tiny(pictures, tmp_path))


def test_separate_training_leaves_the_backbone_as_it_starts(pictures: Path, tmp_path: Path) -> None:
    config = tiny(pictures, tmp_path, strategy="separate")
    trained = weights(train(config))
    torch.manual_seed(config.seed)
    start = build({"backbone": "osnet_x0_25", "classes": 8, "diff_attention": {"ratio": 2}}).state_dict()
    for name in (name for name in trained if name.startswith("backbone.")):
        assert torch.allclose(trained[name].float(), start[name].float(), atol=1e-3)


def test_a_run_goes_on_from_an_earlier_bundle(pictures: Path, tmp_path: Path) -> None:
    first = train(tiny(pictures, tmp_path / "first"))
    second = train(tiny(pictures, tmp_path / "second", init=str(first), strategy="separate"))
    assert torch.allclose(weights(first)["backbone.layers.0.weight"], weights(second)["backbone.layers.0.weight"])


SWITCHES: list[dict[str, object]] = [
    {"triplet": "weighted"},
    {"soft_margin": True, "plain_weight": 1.0},
    {"schedule": "step", "steps_at": (2,)},
    {"attention_weight": 0.0, "plain_weight": 1.0},
    {"attention_weight": 0.0, "plain_weight": 1.0, "plain_feature": "normalised"},
    {"module_views": 2},
    {"center_weight": 0.0},
    {"bf16": True},
    {"ema": 0.0},
    {"triplet": "published"},
    {"variant": "paper"},
    {"variant": "paper", "strategy": "separate"},
]


@pytest.mark.parametrize("options", SWITCHES)
def test_every_switch_trains(pictures: Path, tmp_path: Path, options: dict[str, object]) -> None:
    bundle.verify(train(tiny(pictures, tmp_path, epochs=1, module_epochs=1, **options)))


def test_the_plain_triplet_takes_the_feature_asked_for(pictures: Path, tmp_path: Path) -> None:
    """Before the BNNeck as it is, or after it at length 1: by hand, from what the model gives."""
    torch.manual_seed(0)
    images, labels = torch.rand(12, 3, 32, 16), torch.arange(12) // 3
    crops = decode(data.read("market1501", pictures).train, 32, 16)
    for feature in ("raw", "normalised"):
        config = tiny(pictures, tmp_path, plain_weight=2.0, plain_feature=feature, attention_weight=0.0)
        learner = joint.new_learner(config, start_model(config, crops), 4)
        model = learner.model.train()
        out = model(images)
        vectors = out["pre"] if feature == "raw" else out["post"] / out["post"].norm(dim=1, keepdim=True)
        expected = 2 * batch_hard(torch.cdist(vectors, vectors), labels, 0.3)
        assert learner.objective.train()(images, labels)["plain"].item() == pytest.approx(expected.item(), rel=1e-3)


def test_the_centres_take_their_own_step(pictures: Path, tmp_path: Path) -> None:
    """SGD 0.5 on the centres' own loss, mean |x - c|^2: c - (c - x) summed over its crops / B, whatever its weight."""
    torch.manual_seed(0)
    config = tiny(pictures, tmp_path, center_weight=0.0005)
    learner = joint.new_learner(config, start_model(config, decode(data.read("market1501", pictures).train, 32, 16)), 4)
    images, labels = torch.rand(12, 3, 32, 16), torch.arange(12) // 3
    before = learner.centers.centers.detach().clone()
    pre = copy.deepcopy(learner.model).train()(images)["pre"].detach()
    joint._step(config, learner, images, labels)
    moved = torch.stack([(before[label] - pre[labels == label]).sum(0) / 12 for label in range(4)])
    assert torch.allclose(learner.centers.centers, before - moved, atol=1e-5)


def test_people_without_a_pair_and_batches_without_people_are_refused(pictures: Path, tmp_path: Path) -> None:
    root = tmp_path / "alone"
    shutil.copytree(pictures, root)
    crops = root / "bounding_box_train"
    for path in [*crops.glob("0001_*"), *sorted(crops.glob("0002_*"))[1:]]:
        path.unlink()
    with pytest.raises(BadDataset, match=r"1 people have one crop only, which makes no pair: 2\. .*--single-crops"):
        train(tiny(root, tmp_path / "refused"))
    with pytest.raises(BadConfig, match=r"a batch of 7 people cannot be filled: there are 6 to train on; lower people"):
        train(tiny(root, tmp_path / "few", single_crops="leave_out", people_per_batch=7))
    bundle.verify(train(tiny(root, tmp_path / "repeated", single_crops="repeat", people_per_batch=7, epochs=1)))


def test_a_device_that_is_not_there_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be used here"):
        train(tiny(pictures, tmp_path, device="cuda:63"))


def test_weights_that_do_not_fit_are_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(BadConfig, match="cannot be read"):
        train(tiny(pictures, tmp_path, init=str(tmp_path / "noise.pt")))
    torch.save({"layers.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(BadConfig, match="does not fit"):
        train(tiny(pictures, tmp_path, init=str(tmp_path / "other.pt")))
    with pytest.raises(BadConfig, match="osnet"):
        train(tiny(pictures, tmp_path, init="extractor.onnx"))
    with pytest.raises(BadConfig, match="no ImageNet weights"):
        train(tiny(pictures, tmp_path, init="imagenet"))


def clusters(people: int = 8, crops: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of `people` groups in which only the first half of the coordinates tells who it is."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(people * crops) // crops
    centres = torch.randn(people, 8, generator=generator)[labels]
    told = centres + 0.3 * torch.randn(len(labels), 8, generator=generator)
    noise = 1.5 * torch.randn(len(labels), 8, generator=generator)
    return torch.cat([told, noise], 1), labels


def halves(vectors: torch.Tensor, labels: torch.Tensor) -> tuple[Held, Held]:
    cameras = np.arange(len(labels)) % 2
    parts = (Held(vectors[cameras == at], labels.numpy()[cameras == at], cameras[cameras == at]) for at in (0, 1))
    return tuple(parts)  # type: ignore[return-value]


def test_separate_training_finds_the_coordinates_that_tell(pictures: Path, tmp_path: Path) -> None:
    config = tiny(pictures, tmp_path, module_epochs=25, module_lrs=(1e-2,), transform="abs")
    found = train_separate(config, *clusters(40), halves(*clusters(seed=7)), lambda *_: None)
    assert found.facts["attention_map"] > found.facts["cosine_map"] + 0.05


def test_a_damped_map_is_tried_and_zero_damping_is_plain_distance(pictures: Path, tmp_path: Path) -> None:
    config, said = tiny(pictures, tmp_path, module_epochs=1, module_damping=(1.0, 0.0)), []
    train_separate(config, *clusters(), halves(*clusters(seed=7)), lambda *args: said.append(args[-1]))
    tried = {values["damping"]: values for values in said if "damping" in values}
    assert tried.keys() == {1.0, 0.0}
    assert tried[0.0]["attention_map"] == pytest.approx(tried[0.0]["cosine_map"])


def test_dead_modules_are_said_and_left_out(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, said = tiny(pictures, tmp_path, module_lrs=(1e-3, 2e-3)), []
    monkeypatch.setattr(DiffAttention, "dead_share", lambda *_: 1.0)
    with pytest.raises(TrainingDiverged, match="died"):
        train_separate(config, *clusters(), None, lambda *args: said.append(args))
    assert [values["dead_share"] for *_, steps, values in said if not steps] == [1.0, 1.0]


@given(people=st.integers(1, 12), crops=st.integers(1, 4), asked=st.integers(2, 6), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_batches_hold_whole_groups_of_different_people(people: int, crops: int, asked: int, seed: int) -> None:
    labels = torch.arange(people * 5) % people
    batches = people_batches(labels, asked, crops, seed)
    assert batches
    for index in batches:
        counts = labels[index].unique(return_counts=True)[1]
        assert len(counts) == min(asked, people) and set(counts.tolist()) == {crops}


def test_an_epoch_uses_nearly_every_crop_and_no_two_epochs_are_alike() -> None:
    labels = torch.arange(400) // 8
    batches = people_batches(labels, 10, 4, epoch_seed(1, 0))
    assert len(torch.cat(batches).unique()) > 340
    assert not torch.equal(batches[0], people_batches(labels, 10, 4, epoch_seed(1, 1))[0])
    assert torch.equal(batches[0], people_batches(labels, 10, 4, epoch_seed(1, 0))[0])


@given(crops=st.lists(st.integers(1, 9), min_size=2, max_size=30), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_person_is_drawn_the_first_one_as_well(crops: list[int], seed: int) -> None:
    """Whatever one epoch leaves over, some other epoch takes: nobody is left out for good."""
    labels = torch.repeat_interleave(torch.arange(len(crops)), torch.tensor(crops))
    epochs = [torch.cat(people_batches(labels, 4, 2, epoch_seed(seed, epoch))) for epoch in range(40)]
    assert set(labels[torch.cat(epochs)].tolist()) == set(range(len(crops)))


def test_the_frozen_features_carry_no_augmentation(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def kept(config: TrainConfig, vectors: torch.Tensor, *_: object) -> Candidate:
        seen.append(vectors)
        return Candidate(DiffAttention(vectors.shape[2], config.ratio), 0.0)

    monkeypatch.setattr(run, "train_separate", kept)
    for strength in (0.0, 1.0):
        views = dict.fromkeys(("flip", "erasing", "jitter", "camera"), strength) | {"pad": int(4 * strength)}
        train(tiny(pictures, tmp_path / str(strength), strategy="separate", **views))
    assert seen[0].shape == (1, 48, 16)
    assert torch.equal(*seen)


def test_the_modules_rate_falls_to_a_tenth_where_asked(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []

    def watched(config: TrainConfig, module: DiffAttention, optimizer: torch.optim.Optimizer, *_: object) -> float:
        rates.append(optimizer.param_groups[0]["lr"])
        return 0.0

    monkeypatch.setattr(separate, "_step", watched)
    config = tiny(pictures, tmp_path, module_epochs=3, module_lrs=(1e-2,), module_steps_at=(1, 2))
    train_separate(config, *clusters(), None, lambda *_: None)
    assert sorted(set(rates)) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert rates == sorted(rates, reverse=True)


def test_the_rate_warms_up_and_falls() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)

    def rate(epoch: float, **options: object) -> float:
        config = TrainConfig(data="d", out="o", lr=1.0, epochs=120, warmup_epochs=10, **options)
        joint.set_rate(optimizer, config, epoch)
        return float(optimizer.param_groups[0]["lr"])

    step = {"schedule": "step", "steps_at": (40, 70)}
    assert [rate(epoch, **step) for epoch in (0, 10, 39.9, 40, 70)] == pytest.approx([0.01, 1, 1, 0.1, 0.01])
    assert [rate(epoch, final_lr=0.0) for epoch in (5, 65, 120)] == pytest.approx([0.505, 0.5, 0])


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "joint.pt"
    assert checkpoint.save(path, {"epoch": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert not checkpoint.save(path, {"epoch": 2})
    assert checkpoint.load(path) == {"epoch": 1} and [item.name for item in tmp_path.iterdir()] == ["joint.pt"]


def test_quick_figures_by_hand() -> None:
    """The query's own camera is dropped; the hits stand at ranks 1 and 3 of three: AP (1 + 2/3) / 2."""
    query = Held(torch.tensor([[1.0, 0.0]]), np.array([1]), np.array([1]))
    rows = torch.tensor([[1, 0.1], [1, 0.2], [1, 0.3], [1.0, 0.0]])
    gallery = Held(rows, np.array([1, 2, 1, 1]), np.array([2, 2, 3, 1]))
    assert figures(query, gallery, None) == {"cosine_map": pytest.approx(5 / 6), "cosine_rank1": 1.0}


def test_calibration_pairs_leave_out_the_query_s_own_camera() -> None:
    query, gallery = halves(*clusters(3, 4))
    one = query.person_ids == query.person_ids[0]
    asked = Held(query.vectors[torch.from_numpy(one)], query.person_ids[one], query.camera_ids[one])
    mixed = Held(
        torch.cat([gallery.vectors, asked.vectors]),
        np.concatenate([gallery.person_ids, asked.person_ids]),
        np.concatenate([gallery.camera_ids, asked.camera_ids]),
    )
    torch.manual_seed(0)
    attention, strangers = DiffAttention(16, 2), np.random.default_rng(0).normal(size=(50, 16))
    found = [calibrated(asked, seen, attention, strangers).calibration for seen in (mixed, gallery)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("strategy", "both"),
        ("backbone", "vgg"),
        ("transform", "cube"),
        ("schedule", "linear"),
        ("data_format", "zip"),
        ("triplet", "easy"),
        ("lr", 0),
        ("epochs", -1),
        ("flip", 2),
        ("height", True),
        ("module_lrs", ()),
        ("module_lrs", (-1,)),
        ("module_ratios", (0,)),
        ("ema", "high"),
        ("plain_feature", "post"),
        ("module_damping", ()),
        ("module_damping", (0, -1)),
    ],
)
def test_a_bad_option_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(BadConfig, match=option) as refusal:
        TrainConfig(data="d", out="o", **{option: value})
    assert refusal.value.data["option"] == option


def test_an_unknown_or_missing_option_is_refused() -> None:
    with pytest.raises(BadConfig, match="known: "):
        TrainConfig.from_dict({"data": "d", "out": "o", "learning_rate": 1})
    with pytest.raises(BadConfig, match="'out' is missing"):
        TrainConfig.from_dict({"data": "d"})


def test_options_survive_json_and_overrides_lie_over_a_recipe(tmp_path: Path) -> None:
    config = TrainConfig(data="d", out="o", steps_at=(4, 7))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    (tmp_path / "r.json").write_text(json.dumps(config.as_dict()))
    assert TrainConfig.from_recipe(tmp_path / "r.json", epochs=3, lr=None).epochs == 3
    with pytest.raises(BadConfig, match="cannot be read"):
        TrainConfig.from_recipe(tmp_path / "absent.json")


def test_a_recipe_that_comes_after_another_trains_that_one_first_and_only_once(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    start = tiny(pictures, tmp_path / "start", epochs=1, name="start", separate_after=False)
    after = replace(start, out=str(tmp_path / "end"), name="end", after=str(first), init=f"{tmp_path}/start/joint.pt")
    for recipe, config in ((first, start), (second, after)):
        recipe.write_text(json.dumps(config.as_dict()))
    command = ["train", "--recipe", str(second)]
    assert main(command) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/start/start.reid", f"{tmp_path}/end/end.reid"]
    assert main([*command, "--no-resume"]) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/end/end.reid"]
    assert main([*command, "--init", str(tmp_path / "absent.pt")]) == EXIT_REFUSED


def test_the_shipped_recipe_is_one_and_another_name_is_refused() -> None:
    assert TrainConfig.from_recipe(recipe_path("citysearch")).backbone in BACKBONES
    with pytest.raises(BadConfig, match="citysearch"):
        recipe_path("nothing")


def test_views_are_drawn_anew_each_time_and_the_first_is_the_plain_one(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = clusters()
    views = torch.stack([vectors, vectors + 100, vectors + 200])
    seen: list[torch.Tensor] = []
    matrix = DiffAttention.distance_matrix

    def watched(self: DiffAttention, q: torch.Tensor, g: torch.Tensor, *options: int) -> torch.Tensor:
        seen.append(q.mean(1))
        return matrix(self, q, g, *options)

    monkeypatch.setattr(DiffAttention, "distance_matrix", watched)
    train_separate(tiny(pictures, tmp_path), views, labels, None, lambda *_: None)
    drawn = torch.cat(seen)
    assert all((drawn - level).abs().lt(30).any() for level in (0, 100, 200))


def test_the_last_module_is_taken_where_nobody_may_choose(pictures: Path, tmp_path: Path) -> None:
    """Its damping, rate and epoch are those asked for, whatever the validation people would have preferred."""
    config = tiny(pictures, tmp_path, module_epochs=3, module_lrs=(1e-3, 0.5), module_choice="last")
    found = train_separate(config, *clusters(), halves(*clusters(seed=7)), lambda *_: None)
    assert (found.facts["module_epoch"], found.facts["module_lr"], found.facts["damping"]) == (3.0, 1e-3, 1.0)


def test_the_papers_variant_trains_before_the_neck_and_is_tested_after_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def kept(config: TrainConfig, vectors: torch.Tensor, labels: torch.Tensor, parts: object, *_: object) -> Candidate:
        seen.extend((vectors[0], parts[0].vectors))  # type: ignore[index]
        return Candidate(DiffAttention(vectors.shape[2], config.ratio, variant=config.variant), 0.0)

    monkeypatch.setattr(run, "train_separate", kept)
    config = tiny(pictures, tmp_path, variant="paper")
    model = bundle.read(train(config)).model()
    crops = decode(data.read("market1501", pictures).train, config.height, config.width)
    pre, asked = seen
    assert torch.allclose(model.before_neck(extract(model, crops, flip=True)), pre, atol=0.02)
    queries = decode(data.read("market1501", pictures).query, config.height, config.width)
    assert torch.allclose(extract(model, queries, flip=True), asked, atol=0.05)
    assert model.attention.config["variant"] == "paper"


def test_what_comes_before_the_neck_is_found_again(pictures: Path, tmp_path: Path) -> None:
    model = bundle.read(train(tiny(pictures, tmp_path))).model()
    images = torch.randn(5, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(model.before_neck(model(images)), model.backbone(images), atol=1e-4)


def test_a_dead_module_stops_a_joint_run_and_says_so(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiffAttention, "dead_share", lambda *_: 1.0)
    with pytest.raises(TrainingDiverged, match="diff attention died in epoch 1"):
        train(tiny(pictures, tmp_path))
    train(tiny(pictures, tmp_path / "plain", attention_weight=0.0, plain_weight=1.0, separate_after=False))


@pytest.mark.parametrize("memory", [1, 4096])
def test_the_pair_memory_changes_no_result(pictures: Path, tmp_path: Path, memory: int) -> None:
    """One MiB is a tile of 16 pairs of 2,048 numbers here; 4,096 hold the batch at once."""
    whole, tiled = (train(tiny(pictures, tmp_path / str(mib), pair_memory=mib)) for mib in (128, memory))
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(tiled)[name], atol=2e-3), name
