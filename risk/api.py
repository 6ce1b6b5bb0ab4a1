"""The account's money: balances, statement, deposits and withdrawals as they are listed."""

import msgspec
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.rest import account_of, documented, query
from marketdata.shapes import LIMIT_DEFAULT, AssetSymbol, Cursor, Limit, Page, cursor_id
from risk import queries


class StatementParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines of a list of money moved."""

    asset: AssetSymbol | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class WithdrawalParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which withdrawals."""

    status: queries.WithdrawalStatus | None = None
    asset: AssetSymbol | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class Balances(APIView):
    """What the account has."""

    @documented(tag="money", operation="list_balances", summary="My balances", returns=list[queries.Balance])
    def get(self, request: Request) -> Response:
        """The funds in every asset."""
        query(request)
        return Response(queries.balances(account_id=account_of(request)))


class Entries(APIView):
    """The account's statement."""

    @documented(
        tag="money",
        operation="list_entries",
        summary="My statement",
        returns=Page[queries.Entry],
        parameters=StatementParameters,
    )
    def get(self, request: Request) -> Response:
        """Ledger entries, newest first."""
        asked = query(request, StatementParameters)
        return Response(
            queries.entries(
                account_id=account_of(request), limit=asked.limit, before=cursor_id(asked.cursor), asset=asked.asset
            )
        )


class DepositList(APIView):
    """What came in; trading/api/money.py adds the way to ask for one."""

    @documented(
        tag="money",
        operation="list_deposits",
        summary="My deposits",
        returns=Page[queries.Deposit],
        parameters=StatementParameters,
    )
    def get(self, request: Request) -> Response:
        """Deposits, newest first."""
        asked = query(request, StatementParameters)
        return Response(
            queries.deposits(
                account_id=account_of(request), limit=asked.limit, before=cursor_id(asked.cursor), asset=asked.asset
            )
        )


class WithdrawalList(APIView):
    """What goes out; trading/api/money.py adds the way to ask for one."""

    @documented(
        tag="money",
        operation="list_withdrawals",
        summary="My withdrawals",
        returns=Page[queries.Withdrawal],
        parameters=WithdrawalParameters,
    )
    def get(self, request: Request) -> Response:
        """Withdrawals, newest first."""
        asked = query(request, WithdrawalParameters)
        return Response(
            queries.withdrawals(
                account_id=account_of(request),
                limit=asked.limit,
                before=cursor_id(asked.cursor),
                asset=asked.asset,
                status=asked.status,
            )
        )
