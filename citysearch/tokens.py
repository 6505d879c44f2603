"""API tokens that expire: TOKEN_DAYS after they were made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.authentication import TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed

from citysearch.changes import changed


class TokenExpired(AuthenticationFailed):
    """401 with a code of its own, so that a script knows what to do."""

    default_code = "token_expired"


class ExpiringTokens(TokenAuthentication):
    """`Authorization: Token ...`, as long as the token is good."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        user, token = super().authenticate_credentials(key)
        if token_is_over(token):
            words = {"time": timezone.localtime(token_expiry(token)).isoformat(timespec="minutes")}
            raise TokenExpired(_("The token expired at %(time)s. Get a new one from /api/v1/token/.") % words)
        return user, token


def token_expiry(token: Token) -> datetime:
    """From when on the token is refused."""
    made: datetime = token.created
    return made + timedelta(days=settings.TOKEN_DAYS)


def token_is_over(token: Token) -> bool:
    return token_expiry(token) <= timezone.now()


@transaction.atomic
def token_issue(user: User) -> Token:
    """The user's token, or a new one, which is a line of the log, where there is none or it is over."""
    token, made = Token.objects.get_or_create(user=user)
    if token_is_over(token):
        token.delete()
        token, made = Token.objects.create(user=user), True
    if made:
        changed.send(None, user=user.get_username(), subject="token", details={"did": "add"})
    return token
