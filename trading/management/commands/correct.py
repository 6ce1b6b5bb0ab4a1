"""`manage.py correct USER ASSET AMOUNT --note WHY`: move a signed amount between the outside world and an account."""

from argparse import ArgumentParser
from typing import Any

from marketdata.scale import text_from_units
from matching.engine.messages import CorrectBalance
from trading import control
from trading.management.control_command import ControlCommand, add_account, add_waiting


class Command(ControlCommand):
    """Prints the correction's place in the journal."""

    help = "Correct a balance by a signed amount, for a stated reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose balance changes by how much of what, and why."""
        parser.add_argument("user", help=f"a user, or {control.HOUSE_FEES} for the account that collects fees")
        parser.add_argument("asset", help="symbol, such as BTC")
        parser.add_argument("amount", help="decimal, negative to take away: 1.5 or -1.5")
        parser.add_argument("--note", required=True, help="why; kept in the journal")
        add_account(parser)
        add_waiting(parser)

    def run(self, **options: Any) -> None:
        """Resolve, file, tell."""
        account = control.find_account(username=options["user"], name=options["account"])
        asset = control.find_asset(symbol=options["asset"])
        amount = control.signed_units(text=options["amount"], scale=asset.scale)
        done = self.execute_command(CorrectBalance(account.id, asset.id, amount, options["note"]))
        if done is not None:
            text = text_from_units(amount, asset.scale, 0)
            self.say(
                f"Corrected {options['user']} ({account.name}) by {text} {asset.symbol}: sequence {done.sequence}."
            )
