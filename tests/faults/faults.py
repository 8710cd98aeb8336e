#!/usr/bin/env python3
"""Faults of the outside, thrown at the real binary.

    faults.py BINARY SCRATCH [--only NAME,NAME…] [--scale 1.0] [--seed 1] [--experiments DIR] [--smoke]

Standard library only. Each fault prints `name: rounds, lost, wrong, notes`. *Lost*: a result is missing, a command did not end as it
should, or damage was read and not noticed. *Wrong*: another number was given. Exit code 1 when anything is lost or wrong. Every
round is a line of SCRATCH/details.jsonl. Ends only processes that it started.
"""

import argparse
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import damage
import hostile
import inputs
import kills
import places
import smoke
import surroundings
from bench import Bench, Tally

FAULTS = [
    damage.bit_flips, damage.odd_entries, inputs.changed_inputs, kills.gc_beside, kills.gc_slow, kills.kill_9, kills.many_at_once,
    places.disk_full, places.odd_stores, hostile.hostile_files, hostile.mutations, surroundings.signals_and_surroundings,
    surroundings.odd_times, surroundings.version_skew, surroundings.large_numbers,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("scratch")
    parser.add_argument("--only", help="names of faults, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of rounds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "experiments"))
    parser.add_argument("--smoke", action="store_true", help="a few rounds, in less than twenty seconds")
    arguments = parser.parse_args()
    bench = Bench(arguments.binary, arguments.scratch, arguments.experiments, arguments.scale, arguments.seed)
    names = arguments.only.split(",") if arguments.only else [fault.__name__ for fault in FAULTS]
    unknown = set(names) - {fault.__name__ for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(fault.__name__ for fault in FAULTS)}")
    failed = 0
    for fault in [smoke.smoke] if arguments.smoke else FAULTS:
        if fault.__name__ not in names and not arguments.smoke:
            continue
        began = time.time()
        try:
            tally = fault(bench)
        except Exception as error:  # A fault that breaks itself must not hide the others.
            traceback.print_exc()
            tally = Tally()
            tally.lost = 1
            tally.note(f"the fault itself failed: {error!r}")
        failed += tally.bad
        print(f"{fault.__name__}: {tally.rounds} rounds, {tally.lost} lost, {tally.wrong} wrong, {tally.text()} [{time.time() - began:.0f} s]", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
