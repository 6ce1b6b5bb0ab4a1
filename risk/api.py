"""The account's money: balances, statement, deposits and withdrawals as they are listed."""

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.rest import PagedSelection, Selection, account_of, documented, export, listed, query
from marketdata.shapes import AssetSymbol, Page
from risk import queries


class StatementParameters(PagedSelection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which lines of a list of money moved."""

    asset: AssetSymbol | None = None


class StatementExportParameters(Selection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which lines of the statement."""

    asset: AssetSymbol | None = None


class WithdrawalParameters(PagedSelection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which withdrawals; `start` and `end` are of when they were asked for."""

    status: queries.WithdrawalStatus | None = None
    asset: AssetSymbol | None = None


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
        """Ledger entries, newest first or oldest first."""
        asked = query(request, StatementParameters)
        return Response(
            listed(asked, queries.entries, table="risk_entry", account_id=account_of(request), asset=asked.asset)
        )


class EntriesExport(APIView):
    """The account's statement as a file."""

    @documented(
        tag="money",
        operation="export_entries",
        summary="My statement as CSV",
        returns=str,
        media_type="text/csv",
        parameters=StatementExportParameters,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All ledger entries, streamed; the columns are the fields of the list."""
        asked = query(request, StatementExportParameters)
        return export(
            filename="entries.csv",
            asked=asked,
            columns=queries.Entry,
            query=queries.entries,
            account_id=account_of(request),
            asset=asked.asset,
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
        """Deposits, newest first or oldest first."""
        asked = query(request, StatementParameters)
        return Response(
            listed(asked, queries.deposits, table="risk_deposit", account_id=account_of(request), asset=asked.asset)
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
        """Withdrawals, newest first or oldest first."""
        asked = query(request, WithdrawalParameters)
        return Response(
            listed(
                asked,
                queries.withdrawals,
                table="risk_withdrawal",
                account_id=account_of(request),
                asset=asked.asset,
                status=asked.status,
            )
        )
