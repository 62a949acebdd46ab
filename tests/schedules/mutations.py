"""Faults planted in the sources, each of which the cases must find.

Names say what was left out or done wrongly.  What is not here because it breaks
nothing is in docs/internals/schedules.md.
"""

from __future__ import annotations

from mutation import Mutation
from mutations_dispatch import DISPATCH
from mutations_group import GROUP
from mutations_ipc import IPC
from mutations_queue import HAZARD, QUEUE
from mutations_sleep import SLEEP

MUTATIONS: list[Mutation] = [*QUEUE, *HAZARD, *DISPATCH, *SLEEP, *GROUP, *IPC]
