"""Asking for money to move: demo deposits, withdrawals, and the accounts it lies in.

Each files one command with the matching worker, waits for its answer, and tells what became of it.
"""

from typing import Annotated

import msgspec
from django.conf import settings
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.queries import asset_scale
from marketdata.rest import ApiError, account_of, body, documented, query
from marketdata.scale import AmountError, units_from_text
from marketdata.shapes import AssetSymbol
from matching import inbox
from matching.engine.messages import AnyCommand, Deposit, OpenAccount, RequestWithdrawal
from risk import queries
from risk.api import DepositList, WithdrawalList
from trading.api.authentication import BySession
from trading.gateway.errors import wrong_amount
from trading.gateway.keys import Principal
from trading.gateway.messages import DECIMAL_PATTERN

ACCOUNTS_PER_USER_MAX = 50
ANSWER_SECONDS_MAX = 10.0

AmountText = Annotated[
    str,
    Meta(
        description="A decimal number as text, above zero, with no more decimals than the asset's scale.",
        extra_json_schema={"pattern": DECIMAL_PATTERN, "examples": ["0.5"]},
    ),
]


class DepositBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Play money for the caller's account."""

    asset: AssetSymbol
    amount: AmountText


class WithdrawalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money to send out. The amount is held until an operator approves or refuses."""

    asset: AssetSymbol
    amount: AmountText
    destination: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\u0000-\u001f\u007f]*$")]


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account of the caller's."""

    name: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="Tells a user's accounts apart.", examples=["bot-1"]),
    ]


class Deposits(DepositList):
    """Deposits; in the demo, users credit themselves."""

    scopes = {"POST": "trade"}

    @documented(
        tag="money",
        operation="create_deposit",
        summary="Credit my account with play money (demo only)",
        takes=DepositBody,
        returns=queries.Deposit,
        status_code=201,
        refuses=(400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """The deposit, credited. In production: 403 `demo_only`."""
        query(request)
        asked = body(request, DepositBody)
        if not settings.DEMO:
            raise ApiError("demo_only", "Only the demo lets users credit themselves.", status_code=403)
        account_id = account_of(request)
        asset_id, amount = _amount(asked.asset, asked.amount)
        done = _execute(request, Deposit(account_id, asset_id, amount, "demo"))
        return Response(
            queries.deposit(account_id=account_id, deposit_id=done.sequence), status=status.HTTP_201_CREATED
        )


class Withdrawals(WithdrawalList):
    """Withdrawals, pending until an operator decides (WITHDRAWAL_APPROVAL=off: paid at once)."""

    scopes = {"POST": "withdraw"}

    @documented(
        tag="money",
        operation="create_withdrawal",
        summary="Ask for a withdrawal",
        takes=WithdrawalBody,
        returns=queries.Withdrawal,
        status_code=201,
        refuses=(400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """The withdrawal: pending, or paid where no approval is needed."""
        query(request)
        asked = body(request, WithdrawalBody)
        account_id = account_of(request)
        asset_id, amount = _amount(asked.asset, asked.amount)
        approved = not settings.WITHDRAWAL_APPROVAL
        done = _execute(request, RequestWithdrawal(account_id, asset_id, amount, asked.destination, approved))
        return Response(
            queries.withdrawal(account_id=account_id, withdrawal_id=done.sequence), status=status.HTTP_201_CREATED
        )


class Accounts(APIView):
    """The caller's accounts."""

    def get_permissions(self) -> list[IsAuthenticated]:
        """Only a person opens accounts."""
        return [BySession() if self.request.method == "POST" else IsAuthenticated()]

    @documented(tag="money", operation="list_accounts", summary="My accounts", returns=list[queries.Account])
    def get(self, request: Request) -> Response:
        """All accounts of the signed-in user; to an API key, only its own."""
        query(request)
        caller = _caller(request)
        only = caller.account_id if caller.key else None
        return Response(queries.accounts(user_id=caller.user_id, only_account_id=only))

    @documented(
        tag="money",
        operation="create_account",
        summary="Open a sub-account (signed-in users only)",
        takes=AccountBody,
        returns=queries.Account,
        status_code=201,
        refuses=(400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """The account; X-Account: its name makes a signed-in user act for it."""
        query(request)
        asked = body(request, AccountBody)
        user_id = _caller(request).user_id
        if len(queries.accounts(user_id=user_id)) >= ACCOUNTS_PER_USER_MAX:
            raise ApiError("too_many_accounts", f"At most {ACCOUNTS_PER_USER_MAX} accounts.", status_code=422)
        _execute(request, OpenAccount(user_id, asked.name))
        return Response(queries.account(user_id=user_id, name=asked.name), status=status.HTTP_201_CREATED)


def _caller(request: Request) -> Principal:
    assert isinstance(request.auth, Principal)
    return request.auth


def _amount(asset: str, amount: str) -> tuple[int, int]:
    """(asset id, amount in its units). Raises UnknownAsset, or the gateway's ApiError for text that is no amount."""
    asset_id, scale = asset_scale(asset=asset)
    try:
        return asset_id, units_from_text(amount, scale)
    except AmountError as error:
        raise wrong_amount(error, "amount") from None


def _execute(request: Request, command: AnyCommand) -> inbox.Done:
    caller = _caller(request)
    actor = f"key {caller.key}" if caller.key else f"user {caller.user_id}"
    return inbox.execute(command=command, actor=actor, timeout=ANSWER_SECONDS_MAX)
