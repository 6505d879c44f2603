"""Writes about model versions: register a bundle, index the gallery with it, make it the one that searches use."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from errno import EIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.changes import change_tell
from citysearch.errors import Conflict, ServiceError, Unavailable
from citysearch.research.models import ModelVersion
from citysearch.research.queries import bundle_path, unindexed_crops
from citysearch.research.signals import index_wanted
from reid_engine import bundle

State = ModelVersion.State


def model_register(path: Path | str, name: str = "") -> ModelVersion:
    """Check a bundle, copy it to var/models/ and give it a row; the same bundle twice is the same version.

    Raises ServiceError (no such file), reid_engine's BundleCorrupt or BundleMismatch, Conflict (the name belongs to
    another bundle), Unavailable (the disk is full).
    """
    source = Path(path)
    if not source.is_file():
        raise ServiceError(_("There is no bundle %(path)s.") % {"path": source})
    facts = bundle.read(source)
    known = ModelVersion.objects.filter(sha256=facts.sha256).first()
    return _created(facts, name) if known is None else _repaired(known, source)


def model_verify(version: ModelVersion) -> None:
    """Raises BundleCorrupt or ServiceError unless the version's bundle lies whole where it should."""
    path = bundle_path(version)
    if not path.is_file():
        raise ServiceError(_("The bundle of %(name)s is gone: %(path)s. Register it again.") % _words(version, path))
    if bundle.read(path).sha256 != version.sha256:
        raise ServiceError(_("%(path)s is not the bundle registered as %(name)s.") % _words(version, path))


def model_activate(version: ModelVersion, anyway: bool = False) -> ModelVersion:
    """Make `version` the one active version; the one before becomes ready.

    Raises Conflict when crops of the gallery have no features made by it, unless `anyway`; ServiceError or
    BundleCorrupt when its bundle is not whole.
    """
    model_verify(version)
    missing = 0 if anyway else unindexed_crops(version)
    if missing:
        raise Conflict(
            _(
                "%(count)d crops of the gallery are not indexed by %(name)s yet: searches would not see them. "
                "Index them first (index_gallery --model %(name)s), or activate it anyway."
            )
            % {"count": missing, "name": version.name},
            count=missing,
        )
    _switch(version)
    version.refresh_from_db()
    return version


@transaction.atomic
def model_index(version: ModelVersion, activate: bool = False) -> None:
    """Ask the gallery, after commit, for the features still missing; an active version stays active meanwhile.

    With `activate` the version is switched to at once when the gallery is complete.
    """
    waiting = (State.REGISTERED, State.READY)
    ModelVersion.objects.filter(pk=version.pk, state__in=waiting).update(state=State.INDEXING)
    change_tell("model", "index", model=version.name, activate=activate)
    transaction.on_commit(lambda: index_wanted.send(ModelVersion, version=version, activate=activate))


@transaction.atomic
def model_stop(version: ModelVersion) -> None:
    """Stop the indexing with a version: the features that are committed stay, and indexing again goes on from there.

    Workers see it between two slices. Raises Conflict for a version that is not being indexed.
    """
    if not ModelVersion.objects.filter(pk=version.pk, state=State.INDEXING).update(state=State.REGISTERED):
        raise Conflict(_("The gallery is not being indexed with %(name)s.") % {"name": version.name})
    change_tell("model", "stop indexing", model=version.name)


def model_indexed(version: ModelVersion) -> bool:
    """Note that the gallery is complete for `version`: registered or indexing becomes ready. False where it is not."""
    if unindexed_crops(version):
        return False
    waiting = (State.REGISTERED, State.INDEXING)
    ModelVersion.objects.filter(pk=version.pk, state__in=waiting).update(state=State.READY)
    return True


def sha256_of(path: Path) -> str:
    """The checksum of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@transaction.atomic
def _switch(version: ModelVersion) -> None:
    ModelVersion.objects.filter(state=State.ACTIVE).exclude(pk=version.pk).update(state=State.READY)
    touched = (
        ModelVersion.objects.filter(pk=version.pk)
        .exclude(state=State.ACTIVE)
        .update(state=State.ACTIVE, activated_at=timezone.now())
    )
    if touched:
        change_tell("model", "activate", model=version.name, sha256=version.sha256)
    elif not ModelVersion.objects.filter(pk=version.pk).exists():
        raise Conflict(_("The model version %(name)s was deleted meanwhile.") % {"name": version.name})


def _created(facts: bundle.Bundle, name: str) -> ModelVersion:
    manifest = facts.manifest
    fields = {
        "name": _free_name(name, str(manifest["name"]), facts.sha256),
        "bundle": _copied(facts.path, facts.sha256),
        "dim": int(manifest["dim"]),
        "backbone": str(manifest["config"].get("backbone", ""))[:40],
        "metrics": manifest["metrics"],
    }
    try:
        with transaction.atomic():
            version = ModelVersion.objects.create(sha256=facts.sha256, **fields)
            change_tell("model", "register", model=version.name, sha256=version.sha256)
            return version
    except IntegrityError:  # another process registered it at the same moment
        return ModelVersion.objects.get(sha256=facts.sha256)


def _free_name(name: str, default: str, sha256: str) -> str:
    """The name asked for, or the bundle's own, with the start of its checksum where that is taken."""
    if name and ModelVersion.objects.filter(name=name).exists():
        raise Conflict(_("The name %(name)s belongs to another model version.") % {"name": name}, fields={"name": name})
    if name or not ModelVersion.objects.filter(name=default[:80]).exists():
        return (name or default)[:80]
    return f"{default[:70]} {sha256[:8]}"


def _repaired(version: ModelVersion, source: Path) -> ModelVersion:
    """A known version; its copy is written again where it was lost or damaged."""
    path = bundle_path(version)
    if not path.is_file() or sha256_of(path) != version.sha256:
        version.bundle = _copied(source, version.sha256)
        version.save(update_fields=["bundle"])
    return version


def _copied(source: Path, sha256: str) -> str:
    """Copy to var/models/ by way of a temporary file; the path below var/."""
    folder = Path(settings.VAR_DIR) / "models"
    target = folder / f"{sha256[:16]}.reid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as copy:
            _fill(copy, source, sha256)
        Path(copy.name).replace(target)
    except OSError as error:
        raise Unavailable(
            _("The bundle cannot be copied to %(folder)s: %(reason)s.") % {"folder": folder, "reason": error.strerror}
        ) from error
    return str(target.relative_to(settings.VAR_DIR))


def _fill(copy: Any, source: Path, sha256: str) -> None:
    """All bytes of `source`, on disk and checked; nothing is left behind on failure."""
    try:
        with source.open("rb") as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())
        if sha256_of(Path(copy.name)) != sha256:
            raise OSError(EIO, f"{source} changed while it was copied")
    except OSError:
        Path(copy.name).unlink(missing_ok=True)
        raise


def _words(version: ModelVersion, path: Path) -> dict[str, object]:
    return {"name": version.name, "path": path}
