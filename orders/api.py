"""An account's orders and fills, and everyone's view of the book: parse, ask the queries, answer."""

from typing import Annotated

import msgspec
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.api import PublicView
from marketdata.rest import (
    PagedSelection,
    Selection,
    account_of,
    documented,
    export,
    id_in_path,
    listed,
    market_in_path,
    query,
)
from marketdata.shapes import ID_MAX, Id, MarketSymbol, Page
from matching.engine.messages import OrderStatus, Side
from orders import book_queries, queries

Levels = Annotated[int, Meta(ge=1, le=1_000, description="Price levels of each side at most.")]
LEVELS_DEFAULT = 100


class OrderParameters(PagedSelection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which orders; `start` and `end` are of when they were placed."""

    status: OrderStatus | None = None
    market: MarketSymbol | None = None
    side: Side | None = None


class OrderExportParameters(Selection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which orders; `start` and `end` are of when they were placed."""

    status: OrderStatus | None = None
    market: MarketSymbol | None = None
    side: Side | None = None


class FillParameters(PagedSelection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which fills."""

    market: MarketSymbol | None = None
    order_id: Id | None = None


class FillExportParameters(Selection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which fills."""

    market: MarketSymbol | None = None
    order_id: Id | None = None


class DepthParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the book."""

    levels: Levels = LEVELS_DEFAULT


class BesideOrderEntry(APIView):
    """A view at a path where order entry answers other methods, before Django is asked."""

    entry_methods: tuple[str, ...] = ()

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Allow names order entry's methods too."""
        return {"Allow": ", ".join([*self.allowed_methods, *self.entry_methods])}


class EntryOnly(BesideOrderEntry):
    """Nothing to read here: order entry takes orders."""

    entry_methods = ("POST",)
    schema = None


class Orders(BesideOrderEntry):
    """The account's orders. Placing and canceling them is order entry's, which answers before Django."""

    entry_methods = ("POST", "DELETE")

    @documented(
        tag="orders",
        operation="list_orders",
        summary="My orders",
        returns=Page[queries.ListedOrder],
        parameters=OrderParameters,
    )
    def get(self, request: Request) -> Response:
        """Orders, newest first or oldest first, without their fills."""
        asked = query(request, OrderParameters)
        return Response(
            listed(
                asked,
                queries.orders,
                table="orders_order",
                account_id=account_of(request),
                market=asked.market,
                side=asked.side,
                status=asked.status,
            )
        )


class OrdersExport(APIView):
    """The account's orders as a file."""

    @documented(
        tag="orders",
        operation="export_orders",
        summary="My orders as CSV",
        returns=str,
        media_type="text/csv",
        parameters=OrderExportParameters,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All orders, streamed, each as it stands when it is read; the columns are the fields of the list."""
        asked = query(request, OrderExportParameters)
        return export(
            filename="orders.csv",
            asked=asked,
            columns=queries.ListedOrder,
            query=queries.orders,
            account_id=account_of(request),
            market=asked.market,
            side=asked.side,
            status=asked.status,
        )


class Order(BesideOrderEntry):
    """One order by its id."""

    entry_methods = ("PATCH", "DELETE")

    @documented(
        tag="orders",
        operation="get_order",
        summary="One of my orders",
        returns=queries.FilledOrder,
        path=[id_in_path("order_id", "The order's id.")],
    )
    def get(self, request: Request, order_id: int) -> Response:
        """The order as it stands, with its fills."""
        query(request)
        if order_id > ID_MAX:
            raise queries.UnknownOrder(order_id)
        return Response(queries.order(account_id=account_of(request), order_id=order_id))


class OrderByClientId(BesideOrderEntry):
    """One order by the owner's name for it."""

    entry_methods = ("PATCH", "DELETE")

    @documented(
        tag="orders",
        operation="get_order_by_client_id",
        summary="One of my orders, by client order id",
        returns=queries.FilledOrder,
        path=[OpenApiParameter("client_order_id", {"type": "string"}, OpenApiParameter.PATH)],
    )
    def get(self, request: Request, client_order_id: str) -> Response:
        """The order as it stands, with its fills."""
        query(request)
        if "\0" in client_order_id:
            raise queries.UnknownOrder(client_order_id)
        return Response(queries.order(account_id=account_of(request), client_order_id=client_order_id))


class Fills(APIView):
    """The account's halves of trades."""

    @documented(
        tag="orders", operation="list_fills", summary="My fills", returns=Page[queries.Fill], parameters=FillParameters
    )
    def get(self, request: Request) -> Response:
        """Fills, newest first or oldest first."""
        asked = query(request, FillParameters)
        return Response(
            listed(
                asked,
                queries.fills,
                table="marketdata_trade",
                account_id=account_of(request),
                market=asked.market,
                order_id=asked.order_id,
            )
        )


class FillsExport(APIView):
    """The account's halves of trades as a file."""

    @documented(
        tag="orders",
        operation="export_fills",
        summary="My fills as CSV",
        returns=str,
        media_type="text/csv",
        parameters=FillExportParameters,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """All fills, streamed; the columns are the fields of the list."""
        asked = query(request, FillExportParameters)
        return export(
            filename="fills.csv",
            asked=asked,
            columns=queries.Fill,
            query=queries.fills,
            account_id=account_of(request),
            market=asked.market,
            order_id=asked.order_id,
        )


class Depth(PublicView):
    """The book by price level."""

    @documented(
        tag="public",
        operation="get_depth",
        summary="A market's depth",
        returns=book_queries.Depth,
        path=[market_in_path()],
        parameters=DepthParameters,
        public=True,
    )
    def get(self, request: Request, market: str) -> Response:
        """Price levels, best first, as of one sequence number."""
        return Response(book_queries.depth(market=market, levels=query(request, DepthParameters).levels))


class Ticker(PublicView):
    """The last 24 hours in one line."""

    @documented(
        tag="public",
        operation="get_ticker",
        summary="A market's ticker",
        returns=book_queries.Ticker,
        path=[market_in_path()],
        public=True,
    )
    def get(self, request: Request, market: str) -> Response:
        """Last and best prices, and the last 24 hours."""
        query(request)
        return Response(book_queries.ticker(market=market, now=timezone.now()))
