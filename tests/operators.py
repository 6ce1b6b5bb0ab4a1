"""Operators at the desk, for tests: of any role, with a client that is signed in."""

import re
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from matching import inbox
from matching.models import InboxCommand
from trading.models import OperatorRequest, User


def operator(name: str, *roles: str, superuser: bool = False) -> Client:
    """A client signed in as the operator of that name, made with these roles if need be."""
    user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True, "is_superuser": superuser})
    user.groups.set(Group.objects.filter(name__in=roles))
    client = Client()
    client.force_login(user)
    return client


def fill_in(client: Client, form: str, *target: int, **fields: Any) -> Any:
    """Send one of the desk's forms; the answer as it is."""
    return client.post(reverse("admin:desk_form", args=[form, *target]), {"reason": "a test"} | fields)


def do(client: Client, form: str, *target: int, **fields: Any) -> inbox.Done:
    """Send a form whose act one operator may do alone, and wait for the command. Raises inbox.Refused."""
    answer = fill_in(client, form, *target, **fields)
    assert answer.status_code == 302, words(answer.content)
    command = InboxCommand.objects.latest("id")
    assert answer.url == reverse("admin:matching_inboxcommand_change", args=[command.id])
    return inbox.wait_for(inbox_id=command.id)


def ask(client: Client, form: str, *target: int, **fields: Any) -> OperatorRequest:
    """Send a form whose act takes two; the request that waits then."""
    answer = fill_in(client, form, *target, **fields)
    assert answer.status_code == 302, words(answer.content)
    request = OperatorRequest.objects.latest("id")
    assert answer.url == reverse("admin:trading_operatorrequest_change", args=[request.id])
    assert request.status == "waiting"
    return request


def decide(client: Client, request: OperatorRequest, decision: str, note: str = "looked at") -> Any:
    """Approve or refuse a request."""
    answer = client.post(
        reverse("admin:desk_decide", args=[request.pk]), {"decision": decision, "note": note}, follow=True
    )
    request.refresh_from_db()
    return answer


def words(page: bytes) -> str:
    """A page's text without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.decode()).split())
