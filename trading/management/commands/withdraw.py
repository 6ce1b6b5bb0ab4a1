"""`manage.py withdraw request|approve|refuse|list`: amounts on their way to the outside world."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from marketdata.scale import text_from_units
from marketdata.shapes import amount_text, time_text
from matching.engine.messages import ApproveWithdrawal, RefuseWithdrawal, RequestWithdrawal, WithdrawalChanged
from matching.inbox import Done
from risk.models import Withdrawal
from trading import control
from trading.management.control_command import ControlCommand, add_account, add_waiting

LISTED_MAX = 1_000


class Command(ControlCommand):
    """Prints the withdrawal's id and status, or all that wait for a decision."""

    help = "Request a withdrawal for a user, decide on one, or list those that are pending."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each step."""
        actions = parser.add_subparsers(dest="action", required=True)
        request = actions.add_parser("request", help="hold an amount until it is approved or refused")
        request.add_argument("user")
        request.add_argument("asset", help="symbol, such as BTC")
        request.add_argument("amount", help="decimal, such as 1.5")
        request.add_argument("--to", default="", metavar="DESTINATION", help="where it goes, such as an address")
        add_account(request)
        add_waiting(request)
        for name, text in (("approve", "pay it out"), ("refuse", "give the held amount back")):
            decide = actions.add_parser(name, help=text)
            decide.add_argument("id", type=int, help="the withdrawal's id, see: withdraw list")
            decide.add_argument("--note", default="", help="for the user")
            add_waiting(decide)
        actions.add_parser("list", help=f"pending withdrawals, oldest first, at most {LISTED_MAX:,}")

    def run(self, **options: Any) -> None:
        """The subcommand."""
        match options["action"]:
            case "request":
                self._request(**options)
            case "approve":
                self._tell(self.execute_command(ApproveWithdrawal(options["id"], options["note"])))
            case "refuse":
                self._tell(self.execute_command(RefuseWithdrawal(options["id"], options["note"])))
            case "list":
                self._list()

    def _request(self, **options: Any) -> None:
        account = control.find_account(username=options["user"], name=options["account"])
        asset = control.find_asset(symbol=options["asset"])
        amount = control.units(text=options["amount"], scale=asset.scale)
        approved = not settings.WITHDRAWAL_APPROVAL
        self._tell(self.execute_command(RequestWithdrawal(account.id, asset.id, amount, options["to"], approved)))

    def _tell(self, done: Done | None) -> None:
        for event in done.events if done else ():
            assert isinstance(event, WithdrawalChanged)
            withdrawal = Withdrawal.objects.select_related("asset", "account__user").get(id=event.id)
            amount = text_from_units(event.amount, withdrawal.asset.scale, 0)
            what = f"{amount} {withdrawal.asset.symbol} by {withdrawal.account.user}"
            self.say(f"Withdrawal {event.id} of {what}: {event.status}.")

    def _list(self) -> None:
        pending = Withdrawal.objects.filter(status="pending").select_related("asset", "account__user").order_by("id")
        rows = list(pending[:LISTED_MAX])
        if not rows:
            self.say("No withdrawal is pending.")
        for row in rows:
            amount = amount_text(row.amount, row.asset.scale, 0)
            who = f"{row.account.user} ({row.account.name})"
            self.say(f"{row.id}  {time_text(row.requested_at)}  {who}  {amount} {row.asset.symbol}  {row.destination}")
