"""`python -m spicereplay`: the command, in whichever Python runs this."""

from spicereplay.cli.app import main

if __name__ == "__main__":
    main()
