"""Who may act and what operators did: users, their browsers and API keys, the desk's requests and log."""

import uuid
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django_otp.plugins.otp_totp.models import TOTPDevice

from risk.models import Account


class User(AbstractUser):
    """A person or a program that signs in; money belongs to the accounts of `risk`, never to a user row.

    `theme` and `palette` are empty until chosen; a browser keeps its own choice in cookies, set when signing in.
    """

    THEMES = (("system", "As the system"), ("dark", "Dark"), ("light", "Light"))
    PALETTES = (("standard", "Green and red"), ("colour-blind", "Blue and orange"))

    theme = models.CharField(max_length=8, choices=THEMES, blank=True, default="")
    palette = models.CharField(max_length=16, choices=PALETTES, blank=True, default="")


class Session(AbstractBaseSession):
    """A browser's session, kept by `trading.sessions`. Deleting the row ends it. Without a user nobody is signed in.

    The key is a credential and never shown: pages name a session by its `public_id`.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=256, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(default=timezone.now)

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        """What reads and writes these rows."""
        from trading.sessions import SessionStore  # it reads this table

        return SessionStore

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; an update leaves alone what the store does not know: when, where and with what it is used."""
        if kwargs.get("force_update"):
            kwargs["update_fields"] = ("session_data", "expire_date", "user")
        super().save(*args, **kwargs)


class Authenticator(TOTPDevice):
    """The app that shows a person's codes.

    Its key comes from the stored one and SECRET_KEY together: the table alone is worth nothing to a thief.
    """

    class Meta:
        proxy = True

    @property
    def bin_key(self) -> bytes:
        """The 20 bytes that the app and we have in common."""
        return salted_hmac("bourse: authenticator", super().bin_key, algorithm="sha256").digest()[:20]


class ApiKey(models.Model):
    """A program's right to act for one account. HMAC keys keep their secret encrypted, Ed25519 keys only a public key.

    Made by `trading.api_keys.issue_api_key`. A change is seen at once by this process and within 2 s by all others.
    """

    key = models.CharField(max_length=40, unique=True, help_text="The public name, sent as X-API-Key.")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="api_keys")
    label = models.CharField(max_length=64, blank=True)
    scopes = ArrayField(models.CharField(max_length=8), help_text="read, trade, withdraw.")
    secret_encrypted = models.BinaryField(null=True)
    public_key = models.BinaryField(null=True, help_text="Ed25519, 32 bytes.")
    networks = ArrayField(
        models.CharField(max_length=43), default=list, blank=True, help_text="Allowed networks; none: every address."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(secret_encrypted__isnull=False, public_key__isnull=True)
                | Q(secret_encrypted__isnull=True, public_key__isnull=False),
                name="api_key_one_kind",
            ),
            models.CheckConstraint(
                condition=Q(scopes__contained_by=["read", "trade", "withdraw"]), name="api_key_scopes_known"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and make this process look at the row again before it trusts the key."""
        super().save(*args, **kwargs)
        self._forget_cached()

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete, and make this process forget the key."""
        deleted = super().delete(*args, **kwargs)
        self._forget_cached()
        return deleted

    def _forget_cached(self) -> None:
        from trading.gateway.keys import CACHE  # the cache reads this table

        key = self.key
        transaction.on_commit(lambda: CACHE.forget(key))


class OperatorRequest(models.Model):
    """A command that two operators must agree on: one asks, another approves or refuses (trading/desk/requests.py)."""

    STATUSES = (("waiting", "Waiting"), ("approved", "Approved"), ("refused", "Refused"), ("withdrawn", "Taken back"))

    action = models.CharField(max_length=32, help_text="Of trading/desk/acts.py.")
    subject = models.CharField(max_length=128, help_text="What it is about, such as an account.")
    text = models.TextField(help_text="What will happen, in words.")
    payload = models.TextField(help_text="The command as JSON; amounts in units.")
    before = models.JSONField(help_text="How it stood when it was asked for.")
    reason = models.TextField()
    status = models.CharField(max_length=9, choices=STATUSES, default="waiting")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    note = models.TextField(blank=True, default="", help_text="Of who decided.")
    inbox_id = models.BigIntegerField(null=True, unique=True, help_text="The command filed when it was approved.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status="waiting", decided_by__isnull=True, inbox_id__isnull=True)
                | Q(status="approved", decided_by__isnull=False, inbox_id__isnull=False) & ~Q(decided_by=F("asked_by"))
                | Q(status="refused", decided_by__isnull=False, inbox_id__isnull=True) & ~Q(decided_by=F("asked_by"))
                | Q(status="withdrawn", inbox_id__isnull=True, decided_by=F("asked_by")),
                name="operator_request_takes_two",
            ),
            models.UniqueConstraint(
                fields=["action", "subject"],
                condition=Q(status="waiting", action="withdrawal"),
                name="operator_request_one_per_withdrawal",
            ),
        ]
        indexes = [models.Index(fields=["-id"], condition=Q(status="waiting"), name="operator_request_waiting")]

    def __str__(self) -> str:
        return f"request {self.pk}"


class AuditEntry(models.Model):
    """Something an operator did at the desk. Append-only: the database refuses UPDATE, DELETE and TRUNCATE."""

    operator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    action = models.CharField(max_length=32)
    subject = models.CharField(max_length=128, help_text="What it was done to.")
    text = models.TextField(blank=True, help_text="In words.")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True, help_text="What was asked for; the command's result says what became of it.")
    reason = models.TextField(blank=True)
    address = models.CharField(max_length=45, blank=True)
    request = models.ForeignKey(OperatorRequest, null=True, on_delete=models.PROTECT, related_name="audit_entries")
    inbox_id = models.BigIntegerField(null=True, help_text="The control command filed with it.")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["operator", "-id"], name="audit_operator"),
            models.Index(fields=["subject", "-id"], name="audit_subject"),
        ]

    def __str__(self) -> str:
        return f"audit entry {self.pk}"
