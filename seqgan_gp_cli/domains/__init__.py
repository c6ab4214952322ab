"""The domains of the command line, one file for each. Importing this package imports neither torch nor numpy."""

import sys

from gan_core.discovery import import_all
from seqgan_gp_cli.domains.base import DOMAINS, Entry, Report, in_list, in_turn
from seqgan_gp_cli.domains.config import entry_of, plan_of, refuse_code

import_all(sys.modules[__name__])  # each file registers its domain

__all__ = ["DOMAINS", "Entry", "Report", "entry_of", "in_list", "in_turn", "plan_of", "refuse_code"]
