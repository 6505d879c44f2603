"""What goes into and comes out of the API of cases."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


class CaseSerializer(serializers.Serializer):
    case = serializers.CharField(max_length=80, help_text=_("As it was given with its searches."))


class EvidenceGivenSerializer(serializers.Serializer):
    crop = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class EvidenceSerializer(EvidenceGivenSerializer):
    """A hit that is kept for the case."""

    user = serializers.CharField(help_text=_("Who added it."))
    time = serializers.DateTimeField()


class OriginalSerializer(serializers.Serializer):
    url = serializers.CharField(help_text=_("For you alone, until it expires."))
    expires_at = serializers.DateTimeField()


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=300, help_text=_("Why; the log keeps it."))


class HoldSerializer(serializers.Serializer):
    """Whether a search is on hold."""

    held = serializers.BooleanField()
    user = serializers.CharField(allow_null=True, help_text=_("Who put it on hold."))
    since = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_blank=True)
    may_change = serializers.BooleanField(help_text=_("Whether you may put it on hold or lift the hold."))


class DecisionSerializer(serializers.Serializer):
    """What a supervisor says to a request for an export."""

    request = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text=_("Its id."))
    approved = serializers.BooleanField()
    reason = serializers.CharField(
        max_length=300, required=False, default="", allow_blank=True, help_text=_("Needed to refuse; the log keeps it.")
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if not given["approved"] and not given["reason"]:
            raise serializers.ValidationError({"reason": _("Say why it is refused.")})
        return given


class ExportRequestSerializer(serializers.Serializer):
    """An export that an operator asks for."""

    id = serializers.IntegerField()
    user = serializers.CharField(help_text=_("Who asks."))
    time = serializers.DateTimeField()
    crops = serializers.ListField(child=serializers.IntegerField())
    changed = serializers.BooleanField(help_text=_("The evidence is another by now: it has to be asked for anew."))


class ExportStateSerializer(serializers.Serializer):
    """Whether you may export the evidence as it is now."""

    state = serializers.ChoiceField(
        choices=["free", "needed", "asked", "approved", "refused"],
        help_text=_("Supervisors are free; operators need an approval of exactly this evidence."),
    )
    time = serializers.DateTimeField(allow_null=True, help_text=_("When it was asked for or decided."))
    user = serializers.CharField(allow_null=True, help_text=_("Who decided."))
    reason = serializers.CharField(allow_blank=True)
    requests = ExportRequestSerializer(many=True, help_text=_("For supervisors: what waits for them."))
