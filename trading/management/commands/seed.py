"""`manage.py seed`: make the demo's assets, markets, users, funds and keys unless they are there, and show them."""

from typing import Any

from django.conf import settings

from trading import control, demo, serving
from trading.management.control_command import ControlCommand


class Command(ControlCommand):
    """Prints what a new user must know. Run again, it changes nothing. Refused in production."""

    help = "Make the demo (users alice, bob and admin, with funds and keys) unless it is there, and show its logins."

    def run(self, **options: Any) -> None:
        """Seed, tell."""
        if not settings.DEMO:
            raise control.BadRequest("demo_only", "Production is never seeded with demo users (BOURSE_ENV=production).")
        for line in demo.seed_demo(base_url=serving.base_url()):
            self.say(line)
