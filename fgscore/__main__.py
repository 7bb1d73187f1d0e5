"""``python -m fgscore``: the command line, for who has no ``fgscore`` on the PATH."""

if __name__ == "__main__":
    from fgscore_stages.cli import app

    app(prog_name="python -m fgscore")
