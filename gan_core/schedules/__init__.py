"""Schedules: numbers that change as a run goes on, as functions of the step. A kind of schedule is one function."""

import sys

from gan_core.discovery import import_all

import_all(sys.modules[__name__])  # each file's kinds register themselves
