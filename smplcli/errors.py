"""Every error that `smplcli` raises on purpose, each with the exit code of its command."""

from typing import ClassVar


class SmplCliError(Exception):
    """Base of every deliberate error.

    Args:
        message: What is wrong, naming the offending value, key or path.
        hint: What to do about it, as one imperative sentence.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SmplCliError, ValueError):
    """Settings or arguments contradict each other or do not exist."""

    exit_code = 2


class OutputExistsError(SmplCliError, FileExistsError):
    """The output is there already and nobody said that it may be replaced."""

    exit_code = 2


class MissingFileError(SmplCliError, FileNotFoundError):
    """An input that the command needs does not exist."""

    exit_code = 3


class UnreadableFileError(SmplCliError, ValueError):
    """An input exists but does not hold what it should."""

    exit_code = 3


class RefusedError(SmplCliError, ValueError):
    """The work is done, but its result does not meet what it must."""

    exit_code = 4


class UnstableTrainingError(SmplCliError, ArithmeticError):
    """Training met a number that is not finite."""

    exit_code = 4


class HostileFileError(SmplCliError, ValueError):
    """An input asks for something that no honest file of its kind asks for."""

    exit_code = 5


class IntegrityError(SmplCliError, ValueError):
    """The bytes of a file are not those that were written."""

    exit_code = 5


class ResourceError(SmplCliError, OSError):
    """Disk, memory or permission is lacking."""

    exit_code = 6


class LostProcessError(SmplCliError, RuntimeError):
    """One of the processes that work together has died."""

    exit_code = 6


class ShapeError(ValueError):
    """An array has the wrong shape: a bug of the caller, so its traceback stays."""
