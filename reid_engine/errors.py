"""Errors of the engine. Each carries its data, so a caller can say what was wrong, where, and what to do."""

from __future__ import annotations

from .messages import gettext


class ReidError(Exception):
    """Base of every error the engine raises on purpose. `code` is stable; `data` is what a message needs.

    The message is a template marked for translation, "There is no %(path)s", and says its words when it is read, in
    the language of whoever reads it.
    """

    code = "reid_error"

    def __init__(self, template: str, /, **data: object) -> None:
        super().__init__(template)
        self.template = template
        self.data = data

    def __str__(self) -> str:
        return gettext(self.template) % self.data

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.template, self.data)


class BadPhoto(ReidError):
    """A file that cannot be used as a photo; `data['reason']`: not_a_picture, too_large, truncated or too_small."""

    code = "bad_photo"


class EmptyGallery(ReidError):
    """Nothing to search: no camera, no crop, or no crop in the period."""

    code = "empty_gallery"


class BundleCorrupt(ReidError):
    """A bundle whose bytes do not match its checksums, or that cannot be read."""

    code = "bundle_corrupt"


class BundleMismatch(ReidError):
    """A bundle of another format, or features made by another model version."""

    code = "bundle_mismatch"


class StoreCorrupt(ReidError):
    """A feature segment whose bytes do not match the checksum committed with it."""

    code = "store_corrupt"


class StoreFull(ReidError, OSError):
    """The disk is full while features are written. Nothing was left behind; what was committed before is whole."""

    code = "store_full"


class TooManyFiles(ReidError):
    """More feature segments are to be mapped at once than this process may have files open, or maps."""

    code = "too_many_files"


class BadDataset(ReidError):
    """A data set folder with another layout than expected; the message shows the expected one."""

    code = "bad_dataset"


class BadConfig(ReidError):
    """A training or evaluation option that is unknown or out of range; the message names the allowed values."""

    code = "bad_config"


class TrainingDiverged(ReidError):
    """The loss is no longer a number, or the attention module is dead."""

    code = "training_diverged"


class TrainingStopped(ReidError):
    """A run stopped by Ctrl-C; `data` holds the epoch and the checkpoint's path, the message how to go on."""

    code = "training_stopped"


class ReportUnwritten(ReidError):
    """A bundle, a report, an export or a picture that could not be written where it was asked for."""

    code = "report_unwritten"


class ExportFailed(ReidError):
    """An exported graph that does not answer as the bundle does; `data['difference']` says how far it is off."""

    code = "export_failed"


def _again(kind: type[ReidError], template: str, data: dict[str, object]) -> ReidError:
    """The error as another process raised it."""
    return kind(template, **data)
