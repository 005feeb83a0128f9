"""`python -m trivet` is the `trivet` command."""

from trivet.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
