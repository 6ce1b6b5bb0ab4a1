"""`manage.py deposit USER ASSET AMOUNT`: credit an account from the outside world."""

from argparse import ArgumentParser
from typing import Any

from marketdata.scale import text_from_units
from matching.engine.messages import Deposit
from trading import control
from trading.management.control_command import ControlCommand, add_account, add_waiting


class Command(ControlCommand):
    """Prints the deposit's id."""

    help = "Credit a user's account from the outside world."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who gets how much of what."""
        parser.add_argument("user")
        parser.add_argument("asset", help="symbol, such as BTC")
        parser.add_argument("amount", help="decimal, such as 1.5")
        parser.add_argument("--reference", default="", help="where it came from, such as a transaction id")
        add_account(parser)
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file, tell."""
        account = control.find_account(username=options["user"], name=options["account"])
        asset = control.find_asset(symbol=options["asset"])
        amount = control.units(text=options["amount"], scale=asset.scale)
        done = self.execute_command(Deposit(account.id, asset.id, amount, options["reference"]))
        if done is not None:
            text = text_from_units(amount, asset.scale, 0)
            self.say(f"Deposited {text} {asset.symbol} to {options['user']} ({account.name}): deposit {done.sequence}.")
