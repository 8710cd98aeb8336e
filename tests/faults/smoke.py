"""A few rounds of what matters most, for every change: flipped bytes, an input that changes during a run, a kill, a collection beside."""

import os
import signal
import time

from bench import TINY, Tally, cells, copy_store, folder_of_images, numbers, write
from damage import flip_byte, places, take_scores, verdict_of
from inputs import images_of, stop_at, with_new
from kills import check_run, check_store


def smoke(bench):
    """All of it."""
    tally = Tally()
    flips(bench, tally)
    changed(bench, tally)
    kill(bench, tally)
    return tally


def flips(bench, tally):
    """One flip in each part of an entry that is read, of one entry of each kind."""
    rng, base = bench.random(), bench.expected(bench.small)[2]
    first = {}
    for place in places(base):
        if place[4]:
            first.setdefault(place[0], place)
    for name, path, start, end, entry in first.values():
        store = copy_store(base, bench.path("smoke-store"))
        if entry.kind != "few-shot":
            take_scores(store)
        flip_byte(path.replace(base, store), rng.randrange(start, end), rng)
        ran = bench.run(bench.small, store)
        verdict = verdict_of(bench, ran, bench.small, store, tally)
        tally.check(f"flip in {name}: {verdict}", verdict == "told and right" and ran.code == 0, ran)


def changed(bench, tally):
    """Images rewritten after the plan: refused; right when they are put back."""
    rng, root = bench.random(), bench.fresh("smoke-images")
    folder_of_images(os.path.join(root, "images"), 2, 150)
    file = write(os.path.join(root, "x.ron"), TINY % "images")
    expected = numbers(bench.run(file, bench.fresh("smoke-new")).out)
    store = bench.fresh("smoke-store")
    child = bench.start(file, store)
    undo = None
    if stop_at(store, '"event":"planned"', child):
        undo = with_new(images_of(os.path.join(root, "images")), rng)
        child.signal(signal.SIGCONT)
    ran = child.wait(60)
    mixed = any(state == "done" and value != expected[key] for key, (state, value) in (cells(ran.out) or {}).items())
    tally.wrong += bool(undo and ran.code == 0 and mixed)
    tally.judge(ran)
    if undo:
        undo()
    else:
        tally.note("the run was over before its images could be changed")
    ran = bench.run(file, store)
    tally.wrong += numbers(ran.out) is not None and numbers(ran.out) != expected
    tally.check("images put back", numbers(ran.out) == expected and ran.code == 0, ran)


def kill(bench, tally):
    """A run is killed in the middle, then taken up with a collection beside it."""
    seconds = bench.expected(bench.small)[3]
    store = bench.fresh("smoke-store")
    child = bench.start(bench.small, store)
    time.sleep(0.5 * seconds)
    child.kill()
    child = bench.start(bench.small, store)
    # For both files: where the run is over already, its entries would be garbage for the other.
    collected = bench.assay("gc", bench.linear, bench.small, "--store", store, "--delete")
    tally.check("gc beside a run", collected.code == 0, collected)
    check_run(bench, child.wait(60), bench.small, tally, "taken up after a kill")
    check_store(bench, store, bench.small, tally, "after a kill")
