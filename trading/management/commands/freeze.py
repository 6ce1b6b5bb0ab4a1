"""`manage.py freeze USER`: stop a user from placing, amending and withdrawing; cancels are still accepted."""

from argparse import ArgumentParser
from typing import Any

from matching.engine.messages import FreezeAccount, OrderUpdated
from trading import control
from trading.management.control_command import ControlCommand, add_waiting


class Command(ControlCommand):
    """Freezes all accounts of the user, or the one named."""

    help = "Freeze a user's accounts (all of them, or --account NAME): no new orders, amends or withdrawals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom to freeze, and what becomes of the open orders."""
        parser.add_argument("user")
        parser.add_argument("--account", metavar="NAME", help="freeze only this account")
        parser.add_argument("--cancel-orders", action="store_true", help="cancel all open orders as well")
        parser.add_argument("--note", default="", help="why; kept in the journal")
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file, tell."""
        accounts = control.find_accounts(username=options["user"], name=options["account"])
        commands = [FreezeAccount(account.id, options["cancel_orders"], options["note"]) for account in accounts]
        for account, done in zip(accounts, self.execute_commands(commands), strict=False):
            canceled = sum(isinstance(event, OrderUpdated) for event in done.events)
            orders = f", open orders canceled: {canceled}" if options["cancel_orders"] else ""
            self.say(f"Froze {options['user']} ({account.name}, account {account.id}){orders}.")
