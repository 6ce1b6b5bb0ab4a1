"""Celery's broker without a service: kombu's files, but a message is there only when it is whole.

kombu writes a message into the folder that is read, so that a reader may find half of it and die of that.
"""

import os
import time
import uuid
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

URL = "bourse-files://"


class Channel(filesystem.Channel):
    """A channel whose messages appear at once or not at all."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu's own
        """Write beside the final name and rename: kombu's own naming, which orders messages by time."""
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        path = os.path.join(self.data_folder_out, name)
        with open(f"{path}.part", "wb") as file:
            file.write(str_to_bytes(dumps(payload)))
        os.replace(f"{path}.part", path)


class Transport(filesystem.Transport):
    """Files with such channels."""

    Channel = Channel


def register() -> None:
    """Make URL known to kombu."""
    TRANSPORT_ALIASES["bourse-files"] = "trading.file_broker:Transport"
