"""Starts the command line from a clone: `python cli.py --help`. Installed, it is the command `seqgan-gp`."""

from seqgan_gp_cli import main

if __name__ == "__main__":
    main()
