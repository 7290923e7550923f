import sys

from aigne_hub.cli import main

sys.exit(main())
