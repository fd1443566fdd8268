"""The command line: `python -m model COMMAND`."""

import sys

from model.commands import drop_unwritten, main

if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        drop_unwritten()
