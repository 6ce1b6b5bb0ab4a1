"""`manage.py unfreeze USER`: let a frozen user trade and withdraw again."""

from argparse import ArgumentParser
from typing import Any

from matching.engine.messages import UnfreezeAccount
from trading import control
from trading.management.control_command import ControlCommand, add_waiting


class Command(ControlCommand):
    """Unfreezes all accounts of the user, or the one named."""

    help = "Unfreeze a user's accounts (all of them, or --account NAME)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to unfreeze."""
        parser.add_argument("user")
        parser.add_argument("--account", metavar="NAME", help="unfreeze only this account")
        parser.add_argument("--note", default="", help="why; kept in the journal")
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file, tell."""
        accounts = control.find_accounts(username=options["user"], name=options["account"])
        commands = [UnfreezeAccount(account.id, options["note"]) for account in accounts]
        for account, _ in zip(accounts, self.execute_commands(commands), strict=False):
            self.say(f"Unfroze {options['user']} ({account.name}, account {account.id}).")
