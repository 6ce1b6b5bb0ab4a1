"""`manage.py open_account USER NAME`: open another account for a user."""

from argparse import ArgumentParser
from typing import Any

from matching.engine.messages import AccountOpened, OpenAccount
from trading import control
from trading.management.control_command import ControlCommand, add_waiting


class Command(ControlCommand):
    """Prints the new account's id."""

    help = "Open an account for a user: the first one (main), or a sub-account."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose account, and its name."""
        parser.add_argument("user")
        parser.add_argument("name", nargs="?", default="main", help="tells a user's accounts apart (default: main)")
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file, tell."""
        user = control.find_user(username=options["user"])
        done = self.execute_command(OpenAccount(user.pk, options["name"]))
        for event in done.events if done else ():
            assert isinstance(event, AccountOpened)
            self.say(f"Opened account {event.account_id} ({event.name}) for {user.username}.")
