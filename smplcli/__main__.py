"""`python -m smplcli`."""

from smplcli.cli import main

main()
