"""The public reads of assets, markets, trades, candles and announcements: parse, ask the queries, answer."""

import time
from typing import Annotated

import msgspec
from django.http import StreamingHttpResponse
from msgspec import Meta
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata import candle_queries, queries, replica
from marketdata.rest import PagedSelection, Selection, documented, export, listed, market_in_path, period, query
from marketdata.shapes import LIMIT_DEFAULT, Cursor, End, Interval, Limit, Page, Start, cursor_id

CANDLES_MAX = 1_000
CANDLES_DEFAULT = 500


class PageParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


class PublicView(APIView):
    """A view for everyone: nobody is asked who they are."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class Assets(PublicView):
    """What can be owned."""

    @documented(tag="public", operation="list_assets", summary="All assets", returns=list[queries.Asset], public=True)
    def get(self, request: Request) -> Response:
        """Every asset with its scale."""
        query(request)
        return Response(queries.assets())


class Markets(PublicView):
    """What can be traded."""

    @documented(
        tag="public",
        operation="list_markets",
        summary="All markets",
        returns=list[queries.MarketDescription],
        public=True,
    )
    def get(self, request: Request) -> Response:
        """Every market with its filters, circuit breaker and state."""
        query(request)
        return Response(queries.markets())


class Market(PublicView):
    """One market."""

    @documented(
        tag="public",
        operation="get_market",
        summary="One market",
        returns=queries.MarketDescription,
        path=[market_in_path()],
        public=True,
    )
    def get(self, request: Request, market: str) -> Response:
        """A market's filters, circuit breaker and state."""
        query(request)
        return Response(queries.market(symbol=market))


class Trades(PublicView):
    """The tape."""

    @documented(
        tag="public",
        operation="list_trades",
        summary="A market's trades",
        returns=Page[queries.PublicTrade],
        path=[market_in_path()],
        parameters=PagedSelection,
        public=True,
    )
    def get(self, request: Request, market: str) -> Response:
        """Trades, newest first or oldest first."""
        asked = query(request, PagedSelection)
        return Response(listed(asked, queries.trades, table="marketdata_trade", market=market))


class TradesExport(PublicView):
    """The tape as a file."""

    @documented(
        tag="public",
        operation="export_trades",
        summary="A market's trades as CSV",
        returns=str,
        media_type="text/csv",
        path=[market_in_path()],
        parameters=Selection,
        public=True,
    )
    def get(self, request: Request, market: str) -> StreamingHttpResponse:
        """All trades, streamed; the columns are the fields of the list."""
        asked = query(request, Selection)
        filename = f"{market}-trades.csv"
        return export(filename=filename, asked=asked, columns=queries.PublicTrade, query=queries.trades, market=market)


class CandleParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which candles: the first ones that begin at `start` or later, or else the last ones that begin before `end`."""

    interval: Interval
    start: Start | None = None
    end: End | None = None
    limit: Annotated[int, Meta(ge=1, le=CANDLES_MAX, description="How many at most.")] = CANDLES_DEFAULT


class Candles(PublicView):
    """What the chart shows."""

    @documented(
        tag="public",
        operation="list_candles",
        summary="A market's candles",
        returns=candle_queries.Candles,
        path=[market_in_path()],
        parameters=CandleParameters,
        public=True,
    )
    def get(self, request: Request, market: str) -> Response:
        """Candles, oldest first, without gaps: from `start` on, or without it the latest ones."""
        asked = query(request, CandleParameters)
        start, end = period(asked.start, asked.end)
        now = time.time_ns() // 1_000

        def read() -> candle_queries.Candles:
            return candle_queries.candles(
                market=market, interval=asked.interval, now=now, limit=asked.limit, start=start, end=end
            )

        past = end is not None and end < now - replica.PAST_SECONDS * 1_000_000
        return Response(replica.read_past(read) if past else read())


class Announcements(PublicView):
    """What the exchange tells everyone."""

    @documented(
        tag="public",
        operation="list_announcements",
        summary="Announcements",
        returns=Page[queries.PublicAnnouncement],
        parameters=PageParameters,
        public=True,
    )
    def get(self, request: Request) -> Response:
        """Halts, reopenings and circuit breakers with their numbers, newest first."""
        page = query(request, PageParameters)
        return Response(queries.announcements(limit=page.limit, before=cursor_id(page.cursor)))
