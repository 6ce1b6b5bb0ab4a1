"""One record is one line on stderr, tracebacks included, so that log tools need no special rules."""

import logging
import time


class OneLineFormatter(logging.Formatter):
    """Formats in UTC and writes the line breaks inside a record as `\\n`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """The record's text with its line breaks escaped."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")


def is_news(record: logging.LogRecord) -> bool:
    """False for Django's line about each 503: whoever asks `/readyz` while we start gets the reason in the answer."""
    return getattr(record, "status_code", None) != 503
