"""The original picture of a crop: behind an address that is signed, bound to crop and reader, and soon expires."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from citysearch.errors import ServiceError
from citysearch.gallery.models import Crop
from units.access import User

SALT = "crop-original"


class AddressInvalid(ServiceError):
    """The signature is missing, too old, or made for another crop or another reader."""

    code = "address_invalid"
    status = 403


def original_address(crop: Crop, user: User) -> tuple[str, datetime]:
    """Where this reader finds the original for the next ORIGINAL_SECONDS, and until when."""
    signature = signing.dumps([crop.pk, user.pk], salt=SALT)
    address = f"{reverse('crop-image', args=[crop.pk])}?{urlencode({'signature': signature})}"
    return address, timezone.now() + timedelta(seconds=settings.ORIGINAL_SECONDS)


def original_check(crop: Crop, user: User, signature: str) -> None:
    """Raises AddressInvalid unless the signature is fresh and for this crop and reader."""
    try:
        signed = signing.loads(signature, salt=SALT, max_age=settings.ORIGINAL_SECONDS)
    except signing.BadSignature:
        signed = None
    if signed != [crop.pk, user.pk]:
        raise AddressInvalid(_("This address is not valid or no longer. Open the hit again to get a new one."))
