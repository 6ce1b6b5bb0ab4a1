"""What the exchange tells everyone: halts, reopenings and circuit breakers, with their numbers."""

from django.db import models


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
