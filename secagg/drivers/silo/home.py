"""Home: where a hospital's state lies unless its site says otherwise.

Durable by default: what rules 4.1-6 and 4.1-8 protect must not hang on whether a caller
thought of a directory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from secagg.identity import Identity

_KEY_DIGITS: Final = 16


def default_directory(identity: Identity) -> Path:
    """Return where an identity's state lies unless the site says otherwise.

    In the state home of the XDG base directories, where each identity has its own
    folder: one id may stand for two institutions, in two consortia. A hospital whose
    key was rotated (rule 2.1-7) goes on with the folder of the old key and has to name
    it: here it would begin with no marks.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    home = named if named.is_absolute() else Path.home() / ".local" / "state"
    key = identity.key.public.hex()[:_KEY_DIGITS]
    return home / "secagg" / f"{identity.id}-{key}"
