#!/usr/bin/env python3
"""Runs the backplane's Redis scripts under a random scheduler of faults and checks every promise.

Virtual brokers, gateways and publishers run against one private Redis. Each is a set of tasks; a
task is a generator that yields one Redis call at a time. The scheduler picks a task, decides what
happens to its call (carried out, request lost, reply lost, late, crash before or after, pause) and
hands back the reply. Leases are stolen at random; with --rollback Redis also falls back to an older
snapshot of itself. After each round the faults stop, everything settles, and the checks of
`Checker` are made; those that need no rest are made after every call.

The scripts are read from common/bus/redis/scripts. --mutate NAME weakens one of them (or one rule of the
brokers): such a run has to fail, which shows that the checks see what they are there for.

Invariants, by the names of the fault matrix:
  I1  every accepted message has its outputs in history and feed, none twice
  I2  ids rise over a partition, a history equals its feed, `prev` names the message before, each
      sender's messages keep their order
  I3  nothing is published twice
  I4  each connection value has one Connect and then one Disconnect
  I5  the registry holds exactly the connections that are open
  I7  what a fenced holder sends has no effect; own.i is the id of the last output
  I8  after the faults everything comes to rest

The parts lie in simulation/. Read `World.step` there first, then `Broker.partition`. To add a fault:
`World.break_call`.
"""
import argparse
import random
import sys
import time

from simulation.layout import Violation
from simulation.scripts import MUTATIONS
from simulation.world import run


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seed', type=int, default=None, help='of the scheduler (default: random)')
    parser.add_argument('--steps', type=int, default=50000,
                        help='decisions of the scheduler under faults (default %(default)s)')
    parser.add_argument('--mutate', choices=sorted(MUTATIONS), metavar='NAME',
                        help='weaken a script; the run has to fail. One of: '
                             + ', '.join(sorted(MUTATIONS)))
    parser.add_argument('--rollback', action='store_true',
                        help='Redis also falls back to older snapshots')
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(10**6)
    print(f'seed {seed}', flush=True)
    begun = time.monotonic()
    try:
        stats = run(seed, args.steps, args.mutate, args.rollback, lambda s: print(s, flush=True))
    except Violation as violation:
        print(f'violated after {time.monotonic() - begun:.1f} s, seed {seed}: {violation}')
        return 1
    for name, count in sorted(stats.items()):
        print(f'{count:9d}  {name}')
    print(f'all held, {time.monotonic() - begun:.1f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
