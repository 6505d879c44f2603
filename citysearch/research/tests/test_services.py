"""Bundles become model versions; one of them is active; nothing damaged gets in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from citysearch.errors import Conflict, ServiceError, Unavailable
from citysearch.research import services
from citysearch.research.models import ModelVersion
from citysearch.research.queries import (
    active_model,
    active_model_or_refuse,
    bundle_path,
    headline,
    model_named,
    unindexed_crops,
)
from citysearch.research.services import model_activate, model_index, model_indexed, model_register
from citysearch.research.signals import index_wanted, unindexed_asked
from reid_engine.errors import BundleCorrupt

State = ModelVersion.State
pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery() -> Iterator[dict[str, Any]]:
    """Stands for the gallery: how many crops lack features, by version, and what it was asked to index."""
    known: dict[str, Any] = {"missing": {}, "asked": []}

    def count(sender: Any, version: ModelVersion, **kwargs: Any) -> int:
        return known["missing"].get(version.name, 0)

    def index(sender: Any, version: ModelVersion, **kwargs: Any) -> None:
        known["asked"].append(version.name)

    before = {signal: signal.receivers for signal in (unindexed_asked, index_wanted)}
    for signal in before:
        signal.receivers = []
        signal.sender_receivers_cache.clear()
    unindexed_asked.connect(count)
    index_wanted.connect(index)
    yield known
    for signal, receivers in before.items():
        signal.receivers = receivers
        signal.sender_receivers_cache.clear()


def test_a_bundle_is_copied_below_var_and_described(tiny: Path) -> None:
    version = model_register(tiny)
    assert (version.name, version.backbone, version.dim) == ("tiny", "osnet_x0_25", 512)
    assert version.state == State.REGISTERED
    assert bundle_path(version).read_bytes() == tiny.read_bytes()
    assert version.bundle == f"models/{version.sha256[:16]}.reid"
    assert headline(version) == {"rank1": 0.91, "mean_ap": 0.8, "mean_inp": 0.6}


def test_the_same_bundle_twice_is_one_version(tiny: Path) -> None:
    assert model_register(tiny).pk == model_register(tiny, "another name").pk


def test_registering_again_brings_back_a_lost_or_damaged_copy(tiny: Path) -> None:
    version = model_register(tiny)
    for spoil in (lambda path: path.unlink(), lambda path: path.write_bytes(b"spoilt")):
        spoil(bundle_path(version))
        assert bundle_path(model_register(tiny)).read_bytes() == tiny.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 1.0])
def test_a_flipped_byte_is_refused_wherever_it_is_and_leaves_nothing_behind(
    share: float,
    tiny: Path,
    tmp_path: Path,
    settings: Any,
) -> None:
    content = bytearray(tiny.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    damaged = tmp_path / "damaged.reid"
    damaged.write_bytes(content)
    with pytest.raises(BundleCorrupt, match="damaged.reid is damaged or no bundle"):
        model_register(damaged)
    assert not ModelVersion.objects.exists()
    assert not (settings.VAR_DIR / "models").exists()


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ServiceError, match="There is no bundle nowhere.reid"):
        model_register("nowhere.reid")


def test_a_taken_name_is_refused_when_asked_for_and_lengthened_when_not(bundle_maker: Callable[..., Path]) -> None:
    model_register(bundle_maker(seed=1), "chosen")
    with pytest.raises(Conflict, match="The name chosen belongs to another"):
        model_register(bundle_maker(seed=2), "chosen")
    first, second = (model_register(bundle_maker(seed=seed)) for seed in (3, 4))
    assert (first.name, second.name) == ("tiny", f"tiny {second.sha256[:8]}")


def test_a_full_disk_is_said_and_leaves_no_half_file(
    tiny: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(source: Any, target: Any) -> None:
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(services.shutil, "copyfileobj", full)
    with pytest.raises(Unavailable, match="cannot be copied to .*models: No space left on device"):
        model_register(tiny)
    assert list((settings.VAR_DIR / "models").iterdir()) == []
    assert not ModelVersion.objects.exists()


def test_activating_one_version_retires_the_other(bundle_maker: Callable[..., Path], gallery: Any) -> None:
    old, new = (model_register(bundle_maker(seed=seed), f"v{seed}") for seed in (1, 2))
    model_activate(old)
    assert active_model() == old
    assert model_activate(new).activated_at is not None
    old.refresh_from_db()
    assert (active_model(), old.state) == (new, State.READY)


def test_activating_the_active_version_again_changes_nothing(tiny: Path, gallery: Any) -> None:
    first = model_activate(model_register(tiny))
    assert model_activate(first).activated_at == first.activated_at


def test_a_version_that_would_hide_crops_is_refused_unless_told(tiny: Path, gallery: dict[str, Any]) -> None:
    version = model_register(tiny)
    gallery["missing"]["tiny"] = 7
    with pytest.raises(Conflict, match="7 crops of the gallery are not indexed by tiny yet") as refusal:
        model_activate(version)
    assert (refusal.value.data["count"], active_model()) == (7, None)
    assert model_activate(version, anyway=True).state == State.ACTIVE


def test_a_version_whose_copy_was_damaged_is_not_activated(tiny: Path, gallery: Any) -> None:
    version = model_register(tiny)
    content = bytearray(bundle_path(version).read_bytes())
    content[5000] ^= 4
    bundle_path(version).write_bytes(content)
    with pytest.raises(BundleCorrupt):
        model_activate(version)
    bundle_path(version).unlink()
    with pytest.raises(ServiceError, match="is gone: .* Register it again"):
        model_activate(version)
    assert active_model() is None


def test_another_whole_bundle_in_its_place_is_noticed(bundle_maker: Callable[..., Path], gallery: Any) -> None:
    version = model_register(bundle_maker(seed=1))
    bundle_path(version).write_bytes(bundle_maker(seed=2).read_bytes())
    with pytest.raises(ServiceError, match="is not the bundle registered as tiny"):
        model_activate(version)


def test_indexing_asks_the_gallery_after_commit_and_ends_ready(
    tiny: Path,
    gallery: dict[str, Any],
    django_capture_on_commit_callbacks: Any,
) -> None:
    version = model_register(tiny)
    gallery["missing"]["tiny"] = 3
    with django_capture_on_commit_callbacks(execute=True):
        model_index(version)
        assert gallery["asked"] == []
    version.refresh_from_db()
    assert (gallery["asked"], version.state, unindexed_crops(version)) == (["tiny"], State.INDEXING, 3)
    assert not model_indexed(version)
    gallery["missing"]["tiny"] = 0
    assert model_indexed(version)
    version.refresh_from_db()
    assert version.state == State.READY


def test_an_active_version_stays_active_while_new_crops_are_indexed(tiny: Path, gallery: Any) -> None:
    version = model_activate(model_register(tiny))
    model_index(version)
    model_indexed(version)
    assert active_model() == version


def test_no_active_version_says_what_to_do() -> None:
    with pytest.raises(Unavailable, match="register_model, then activate_model"):
        active_model_or_refuse()


def test_versions_are_found_by_name_id_and_checksum(tiny: Path) -> None:
    version = model_register(tiny)
    for word in ("tiny", str(version.pk), version.sha256[:8], version.sha256.upper()):
        assert model_named(word) == version
    with pytest.raises(ServiceError, match="no model version 'gone'. Known: tiny"):
        model_named("gone")


def test_the_web_process_registers_and_activates_without_torch() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'citysearch.settings'; django.setup();"
        "import citysearch.urls, citysearch.research.admin, citysearch.research.services, reid_engine.bundle;"
        "from django.core.management import load_command_class as load;"
        "[load('citysearch.research', name).create_parser('x', name) for name in "
        "('train_reid', 'evaluate_reid', 'register_model', 'activate_model')];"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Commands


def test_the_commands_register_and_activate(
    tiny: Path,
    gallery: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("register_model", str(tiny), "--name", "mine")
    gallery["missing"]["mine"] = 2
    with pytest.raises(CommandError, match="2 crops of the gallery are not indexed by mine"):
        call_command("activate_model", "mine")
    call_command("activate_model", "mine", "--anyway")
    assert "active: mine" in capsys.readouterr().out
    assert active_model() == model_named("mine")


def test_registering_and_activating_go_in_one_command(tiny: Path, gallery: Any) -> None:
    call_command("register_model", str(tiny), "--activate")
    assert active_model() == model_named("tiny")


def test_the_commands_refuse_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "no.reid").write_bytes(b"no bundle")
    with pytest.raises(CommandError, match="no.reid is damaged or no bundle"):
        call_command("register_model", str(tmp_path / "no.reid"))
    with pytest.raises(CommandError, match="no model version 'x'. Known: none"):
        call_command("activate_model", "x")


# The administrator's page


def post_action(user: Any, action: str, *versions: ModelVersion) -> str:
    client = Client()
    client.force_login(user)
    chosen = {"action": action, "_selected_action": [version.pk for version in versions]}
    return client.post("/admin/research/modelversion/", chosen, follow=True).content.decode()


def test_an_administrator_activates_on_the_page(administrator: Any, tiny: Path, gallery: dict[str, Any]) -> None:
    version = model_register(tiny)
    gallery["missing"]["tiny"] = 4
    assert "4 crops of the gallery are not indexed by tiny" in post_action(administrator, "activate", version)
    gallery["missing"]["tiny"] = 0
    assert "Active now: tiny" in post_action(administrator, "activate", version)
    assert active_model() == version


def test_the_page_activates_exactly_one(administrator: Any, bundle_maker: Callable[..., Path], gallery: Any) -> None:
    versions = [model_register(bundle_maker(seed=seed), f"v{seed}") for seed in (1, 2)]
    assert "Choose exactly one" in post_action(administrator, "activate", *versions)
    assert active_model() is None


def test_a_researcher_on_the_page_cannot_activate(researcher: Any, tiny: Path, gallery: Any) -> None:
    researcher.is_staff = True
    researcher.save()
    post_action(researcher, "activate", model_register(tiny))
    assert active_model() is None
