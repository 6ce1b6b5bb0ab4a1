"""The exchange on one screen (`manage.py status`): what is known, from where, and how it is shown."""
