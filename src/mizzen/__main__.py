"""`python -m mizzen` is the `mizzen` command."""

from mizzen.cli import main

main()
