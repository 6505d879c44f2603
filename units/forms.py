"""Forms of the admin. They show and gather; the services check and write."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from units import services
from units.access import units_of
from units.admin_rights import ServiceForm, administered_paths
from units.checks import CAMERA_FIELDS
from units.models import Camera, Level, Membership, Role, Unit
from units.tree import ancestor_paths, below, parent_of
from units.widgets import AreaWidget, PlaceWidget, UnitSelect


class UnitForm(ServiceForm):
    parent: forms.ModelChoiceField = forms.ModelChoiceField(
        queryset=Unit.objects.none(), required=False, label=_("Unit above"), widget=UnitSelect(),
        help_text=_("Decides the level; none for a city. In the list, units are also moved by dragging."),
    )  # fmt: skip

    class Meta:
        model = Unit
        fields = ["parent", "name", "code", "free_code", "polygon", "retention_days"]
        widgets = {"polygon": AreaWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "parent" in self.fields:
            self.fields["retention_days"].help_text = _retention_help(self._offer_parents())
            self.fields["polygon"].widget.attrs["data-unit"] = self.instance.pk or ""

    def write(self) -> Unit:
        fields = {name: self.cleaned_data[name] for name in (*services.UNIT_FIELDS, "polygon")}
        parent = self.cleaned_data.get("parent")
        if self.instance.pk is None:
            return services.unit_create(parent, **fields)
        return services.unit_update(Unit.objects.get(pk=self.instance.pk), parent=parent, **fields)

    def clean_parent(self) -> Unit | None:
        parent = self.cleaned_data["parent"]
        if parent is None and not self._may_stand_alone():
            raise forms.ValidationError(_("Choose the unit above; only a superuser adds a city."))
        return parent

    def _offer_parents(self) -> Unit | None:
        """Which units may be chosen; returns the one that is to begin with."""
        field = cast(forms.ModelChoiceField, self.fields["parent"])
        units = units_of(self.request.user, Role.ADMINISTRATOR).filter(level__lt=Level.GRID).defer("polygon")
        above = parent_of(self.instance) if self.instance.pk else _one_of(units, self.initial.get("parent"))
        if above is not None:
            units |= Unit.objects.filter(pk=above.pk)
        elif self.instance.pk:
            units = Unit.objects.none()
        field.queryset, field.initial = units.order_by("path"), above
        return above

    def _may_stand_alone(self) -> bool:
        if self.instance.pk:
            return self.instance.depth == 1
        return bool(self.request.user.is_superuser)


def _one_of(units: QuerySet[Unit], pk: object) -> Unit | None:
    """The unit an address names; None where it names none of these."""
    return units.filter(pk=int(str(pk))).first() if str(pk).isdecimal() else None


def _retention_help(above: Unit | None) -> str:
    """What an empty field means here: the days of the nearest unit above that says some."""
    paths = [*ancestor_paths(above.path), above.path] if above else []
    stated = Unit.objects.filter(path__in=paths, retention_days__isnull=False).order_by("-path").first()
    words = {"days": stated.retention_days if stated else settings.RETENTION_DAYS}
    return _("Crops older than this are erased every day. Empty: as the unit above says, here %(days)d days.") % words


class CameraForm(ServiceForm):
    place = forms.Field(required=False, label=_("On the map"), widget=PlaceWidget())

    class Meta:
        model = Camera
        fields = [*CAMERA_FIELDS, "longitude", "latitude"]

    def write(self) -> Camera:
        fields = {name: self.cleaned_data[name] for name in (*CAMERA_FIELDS, "longitude", "latitude")}
        paths = administered_paths(self.request)
        within = None if paths is None else Unit.objects.filter(below(paths))
        if self.instance.pk is None:
            return services.camera_create(within, **fields)
        return services.camera_update(Camera.objects.get(pk=self.instance.pk), within, **fields)


class MembershipForm(ServiceForm):
    class Meta:
        model = Membership
        fields = ["user", "role", "unit"]

    def write(self) -> Membership:
        user = get_user_model().objects.get(pk=self.cleaned_data["user"].pk)
        giver = cast(AbstractBaseUser, self.request.user)
        return services.membership_add(user, self.cleaned_data["role"], self.cleaned_data["unit"], granted_by=giver)


class ImportForm(forms.Form):
    """A file of units or cameras, or the token of one that was looked at."""

    file = forms.FileField(label=_("file"))


class GridForm(forms.Form):
    cell_m = forms.FloatField(label=_("side of a cell (m)"), initial=200, min_value=20, max_value=5000)
