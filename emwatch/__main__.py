"""``python -m emwatch``."""

from emwatch.cli.main import main

if __name__ == "__main__":
    main()
