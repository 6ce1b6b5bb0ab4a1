"""What the account pays."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fees import queries
from marketdata.rest import account_of, documented, query


class Fees(APIView):
    """The account's fee tier and rates."""

    @documented(tag="money", operation="get_fees", summary="My fees", returns=queries.Fees)
    def get(self, request: Request) -> Response:
        """The 30-day volume, the tier it reaches, the next, and the rates on every market."""
        query(request)
        return Response(queries.fees(account_id=account_of(request), now=timezone.now()))
