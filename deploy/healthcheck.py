"""Ends with 0 when a process of this container answers 200: `python deploy/healthcheck.py PORT PATH`.

It asks under a name that the exchange answers to (the first of ALLOWED_HOSTS). The standard library is all it needs,
so that a check every few seconds costs little.
"""

import http.client
import os
import sys

SECONDS_MAX = 5


def main() -> int:
    """Ask once; 0 or 1, with what was wrong on standard error."""
    port, path = int(sys.argv[1]), sys.argv[2]
    hosts = os.environ.get("ALLOWED_HOSTS", "").split(",")
    name = hosts[0].strip().lstrip(".").replace("*", "") or "localhost"
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS_MAX)
        connection.request("GET", path, headers={"Host": name})
        status = connection.getresponse().status
    except OSError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"{path}: {status}", file=sys.stderr)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
