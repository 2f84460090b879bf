"""Django is configured once a process, whichever test needs it first."""

import django
from django.conf import settings


def configure_django() -> None:
    """Configure it, unless that is done."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="tests")
        django.setup()
