"""Who may act: the users of Bourse."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person or a program that signs in; money belongs to the accounts of `risk`, never to a user row."""
