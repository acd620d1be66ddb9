"""``python -m groupnas``: the command line, where ``groupnas`` is not on the path."""

from groupnas.cli import main

if __name__ == "__main__":
    main()
