"""`python -m deltann_agent` is the same as `deltann-agent`."""

import sys

from deltann_agent.cli import main

sys.exit(main())
