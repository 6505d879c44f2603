"""Who may see and change crops. Whatever lies outside is not there: 404, never 403."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from citysearch.gallery.models import Crop, GalleryImport
from units.access import READERS, User, cameras_of, granted_paths, roles_of
from units.models import Camera, Role
from units.tree import below


def crops_of(user: User, *roles: str) -> QuerySet[Crop]:
    """The crops of the cameras in whose units the user has any of the roles (units.access.READERS when none)."""
    paths = granted_paths(user, *(roles or READERS))
    crops = Crop.objects.select_related("camera")
    return crops if paths is None else crops.filter(below(paths, "camera__unit__path"))


def get_crop_or_404(user: User, pk: object, *roles: str) -> Crop:
    try:
        crop = crops_of(user, *roles).filter(pk=str(pk)).first()
    except (ValueError, OverflowError):
        crop = None
    if crop is None:
        raise Http404(_("There is no such crop."))
    return crop


def is_administrator(user: User) -> bool:
    """Whether the user administers anything at all, and so may start an import."""
    return Role.ADMINISTRATOR in roles_of(user)


def imports_of(user: User) -> QuerySet[GalleryImport]:
    """The imports an administrator started, and those that brought crops to cameras he administers and no others.

    The lines of an import name pictures and cameras: one that went to others too is not his to read.
    """
    rows = GalleryImport.objects.select_related("user")
    if getattr(user, "is_superuser", False):
        return rows
    if not is_administrator(user):
        return rows.none()
    cameras: QuerySet[Camera] = cameras_of(user, Role.ADMINISTRATOR).order_by()
    crops = Crop.objects.filter(gallery_import=OuterRef("pk")).order_by()
    own, others = crops.filter(camera__in=cameras), crops.exclude(camera__in=cameras)
    return rows.filter(Q(user_id=user.pk) | (Exists(own) & ~Exists(others)))
