"""What the exchange tells: announcements to everyone, and notifications to each person by the channels they chose.

A notification is recorded in the transaction of what caused it, with a delivery for every channel that leaves the
house: these rows are the outbox. Unique keys make one event one notification, and one delivery per channel.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from notifications import rules


class Announcement(models.Model):
    """A public announcement, written in the transaction of the command that caused it."""

    id = models.BigAutoField(primary_key=True)
    sequence = models.BigIntegerField(db_index=True)
    market_id = models.IntegerField(null=True, help_text="None: the whole exchange.")
    announcement_type = models.CharField(max_length=24)
    text = models.TextField()
    announced_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.text


class Recipient(models.Model):
    """A person as one who is told things: how far their notifications have come, and when and where to tell.

    `sequence` counts every change of their notifications, in the order of commits: who changes one holds this row.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE)
    sequence = models.BigIntegerField(db_default=0)
    quiet_begin = models.SmallIntegerField(db_default=0, help_text="Minutes since midnight.")
    quiet_end = models.SmallIntegerField(db_default=0)
    time_zone = models.CharField(max_length=64, db_default="UTC")
    digest_minutes = models.SmallIntegerField(db_default=rules.DIGEST_MINUTES[0])
    webhook_url = models.CharField(max_length=500, blank=True, db_default="")
    webhook_secret_encrypted = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_begin__range=(0, rules.DAY_MINUTES - 1), quiet_end__range=(0, rules.DAY_MINUTES - 1)),
                name="recipient_quiet_hours_of_a_day",
            ),
            models.CheckConstraint(condition=Q(digest_minutes__gte=1), name="recipient_digest_takes_time"),
        ]

    def __str__(self) -> str:
        return f"recipient {self.pk}"

    @property
    def quiet_hours(self) -> rules.QuietHours:
        """When this person does not want to be disturbed."""
        return rules.QuietHours(self.quiet_begin, self.quiet_end, self.time_zone)


class Preference(models.Model):
    """A choice that differs from, or insists on, what is told by default."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=24)
    channel = models.CharField(max_length=8)
    on = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind", "channel"], name="preference_one_per_channel"),
            models.CheckConstraint(condition=Q(channel__in=rules.CHANNELS), name="preference_channel_known"),
        ]
        indexes = [models.Index(fields=["kind"], condition=Q(on=True), name="preference_chosen")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}: {'on' if self.on else 'off'}"


class Delivery(models.Model):
    """Something on its way to a person by e-mail or webhook, with the figures as they were when it set out.

    `failed`: tried, and to be tried again at `next_at`; `dead`: given up. While it is being sent, `next_at` is when
    somebody else may try it, so that nothing is lost with a process. A `digest` tells the notifications that name it.
    """

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=80, unique=True, help_text="Sent along, so that a receiver can tell repetitions.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    channel = models.CharField(max_length=8)
    kind = models.CharField(max_length=24)
    account_id = models.IntegerField(null=True)
    figures = models.JSONField()
    digest = models.BooleanField(db_default=False)
    happened_at = models.DateTimeField()
    state = models.CharField(max_length=8, db_default="pending")
    attempts = models.SmallIntegerField(db_default=0)
    next_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=300, blank=True, db_default="")

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=("pending", "failed", "sent", "dead")), name="delivery_state_known"
            ),
            models.CheckConstraint(condition=Q(channel__in=("email", "webhook")), name="delivery_channel_leaves"),
            models.UniqueConstraint(
                fields=["user", "channel"],
                condition=Q(digest=True, attempts=0, state="pending"),
                name="delivery_one_open_digest",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at", "id"], condition=Q(state__in=("pending", "failed")), name="delivery_due"),
            models.Index(fields=["user", "channel", "-id"], name="delivery_of_user"),
            models.Index(fields=["id"], condition=Q(state="dead"), name="delivery_dead"),
            models.Index(fields=["state", "done_at"], condition=Q(state__in=("sent", "dead")), name="delivery_done"),
        ]

    def __str__(self) -> str:
        return self.key


class Notification(models.Model):
    """One event as one person is told of it in the list; an order has one, which changes as the order does.

    `sequence` is the recipient's as of its last change; `shown` is off where the person wants it by other channels
    only.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    account_id = models.IntegerField(null=True)
    subject = models.CharField(max_length=120)
    kind = models.CharField(max_length=24)
    figures = models.JSONField()
    sequence = models.BigIntegerField()
    shown = models.BooleanField()
    happened_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    digest = models.ForeignKey(Delivery, null=True, on_delete=models.SET_NULL, related_name="gathered")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "subject"], name="notification_once")]
        indexes = [
            models.Index(fields=["user", "-sequence"], name="notification_of_user"),
            models.Index(
                fields=["user", "account_id"], condition=Q(shown=True, read_at=None), name="notification_unread"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"
