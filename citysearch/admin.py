"""The administration of API tokens, who has one and until when, and of groups."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from rest_framework.authtoken.admin import TokenAdmin
from rest_framework.authtoken.models import TokenProxy

from citysearch.admin_changes import ToldAdmin
from citysearch.tokens import token_expiry, token_is_over

admin.site.unregister([TokenProxy, Group])


@admin.register(TokenProxy)
class ExpiringTokenAdmin(ToldAdmin, TokenAdmin):
    """A token in full is told once, to its user: here stands its beginning."""

    subject = "token"

    list_display = ["beginning", "user", "created", "expires_at", "is_good"]

    def name_of(self, obj: TokenProxy) -> str:
        return str(obj.user.get_username())

    @admin.display(description=_("token"))
    def beginning(self, token: TokenProxy) -> str:
        return f"{token.key[:6]}…"

    @admin.display(description=_("expires"), ordering="created")
    def expires_at(self, token: TokenProxy) -> datetime:
        return token_expiry(token)

    @admin.display(description=_("good"), boolean=True)
    def is_good(self, token: TokenProxy) -> bool:
        return not token_is_over(token)


@admin.register(Group)
class ToldGroupAdmin(ToldAdmin, GroupAdmin):
    """Groups of people with the same permissions."""

    subject = "group"
