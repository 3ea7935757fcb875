"""Files that people hand over: why one cannot be read, and what to do."""

from __future__ import annotations

from pathlib import Path


def read(path: Path, remedy: str, error: type[Exception]) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        remedy: how to get one, for whoever has none.
        error: what is raised.

    Raises:
        Exception: `error`, if there is none or it is no text; says what to do.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise error(
            f"there is no file {path} (looked in {path.parent.absolute()}): check the"
            f" path, or {remedy}"
        ) from None
    except IsADirectoryError:
        raise error(f"{path} is a folder: give the file in it") from None
    except UnicodeDecodeError:
        raise error(f"{path}: not a text file in UTF-8") from None
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None
