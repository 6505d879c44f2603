"""Forms of the admin. They show and gather; the services check and write."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext_lazy as _
from treebeard.forms import TreeNodeChoiceField

from units import services
from units.access import units_of
from units.admin_rights import ServiceForm, administered_paths
from units.checks import CAMERA_FIELDS
from units.models import Camera, Level, Membership, Role, Unit
from units.tree import below, parent_of
from units.widgets import AreaWidget, PlaceWidget


class UnitForm(ServiceForm):
    parent = TreeNodeChoiceField(
        queryset=Unit.objects.none(), required=False, label=_("unit above"), empty_label=_("none: a city"),
        help_text=_("Decides the level. In the list, units are also moved by dragging."),
    )  # fmt: skip

    class Meta:
        model = Unit
        fields = ["parent", "name", "code", "free_code", "polygon", "retention_days"]
        widgets = {"polygon": AreaWidget()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "parent" in self.fields:
            self._offer_parents()
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

    def _offer_parents(self) -> None:
        field = self.fields["parent"]
        above = units_of(self.request.user, Role.ADMINISTRATOR).filter(level__lt=Level.GRID).defer("polygon")
        current = parent_of(self.instance) if self.instance.pk else None
        if current is not None:
            above = (above | Unit.objects.filter(pk=current.pk)).filter(level=current.level)
        elif self.instance.pk:
            above = Unit.objects.none()
        field.queryset = above.order_by("path")  # type: ignore[attr-defined]
        field.initial = current or self.initial.get("parent")

    def _may_stand_alone(self) -> bool:
        if self.instance.pk:
            return self.instance.depth == 1
        return bool(self.request.user.is_superuser)


class CameraForm(ServiceForm):
    place = forms.Field(required=False, label=_("on the map"), widget=PlaceWidget())

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
