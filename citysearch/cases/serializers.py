"""What goes into and comes out of the API of cases."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers


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
