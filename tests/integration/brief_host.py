"""The command line on a host whose leases are brief: a board that it leaves behind is soon free."""

import sys

from deltann.__main__ import main
from deltann.fleet.client import BoardClient

TTL_S = 12.0

if __name__ == "__main__":
    lease = BoardClient.lease
    BoardClient.lease = lambda client: lease(client, TTL_S)
    sys.exit(main())
