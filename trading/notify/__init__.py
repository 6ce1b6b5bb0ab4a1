"""Notifications where they need the layers above them: what the journal gives, and the live channel."""
