"""``python -m emwatch``, and the program `emwatch`."""

from emwatch.cli import end_when_interrupted


def main() -> None:
    """Run emwatch and end the process with an exit code of `emwatch.cli.exits.Exit`."""
    end_when_interrupted()
    from emwatch.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
