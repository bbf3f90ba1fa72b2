"""`python -m kv_batch_client` is `kvb`."""

import sys

from kv_batch_client.cli import main

sys.exit(main())
