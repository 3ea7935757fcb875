"""Where the ``secagg`` command begins: says what to install if a part is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or end with code 2 and what to install."""
    try:
        # What may be missing is in there.
        from peers.cli import app
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"error: the secagg command needs {error.name}: "
            "pip install 'secagg[peers]'\n"
        )
        raise SystemExit(2) from None
    app()


if __name__ == "__main__":
    main()
