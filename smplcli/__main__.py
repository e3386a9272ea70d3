"""`python -m smplcli`, and the command `smplcli`."""

import signal
import sys


def main() -> None:
    """Run the command line, which takes a tenth of a second to import."""
    try:
        from smplcli.cli import app  # noqa: PLC0415 - for Ctrl-C while it is imported

        app(prog_name="smplcli")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
