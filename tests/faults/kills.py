"""Processes that are killed, many at once on one store, and collections of garbage beside them."""

import hashlib
import os
import time

from bench import Tally, cells, leftovers, numbers, outputs, some_wrong, finished, write


def check_store(bench, store, file, tally, why):
    """A finished store must be what an undisturbed run leaves, and clean after a collection."""
    expected, now = bench.expected(file)[1], outputs(store)
    damaged = bench.verify(store)
    if damaged:
        tally.lost += 1
        tally.note(f"{why}: verify finds {damaged} damaged")
    if any(now[key] != output for key, output in expected.items() if key in now):
        tally.wrong += 1
        tally.note(f"{why}: entries differ")
    if set(expected) - set(now):
        tally.lost += 1
        tally.note(f"{why}: entries missing")
    bench.assay("gc", file, "--store", store, "--delete")
    left = leftovers(store)
    if left:
        tally.lost += 1
        tally.note(f"{why}: stays after gc: {left[0][:30]}…{left[0][-20:]} and {len(left) - 1} more")


def check_run(bench, outcome, file, tally, why):
    """A run that was left alone must end with the whole table."""
    well = tally.judge(outcome)
    if well and (outcome.code or numbers(outcome.out) is None):
        tally.lost += 1
        tally.note(f"{why}: exit {outcome.code}: {outcome.last(140)}")
        bench.detail(fault=why, code=outcome.code, message=outcome.err[-900:])
    if some_wrong(outcome.out, bench.expected(file)[0]):
        tally.wrong += 1
        tally.note(f"{why}: WRONG NUMBER, exit {outcome.code}")


def killed(bench, file, kills, share, rng, tally, why):
    """Starts and kills, again and again on one store until a run comes through; then a new store."""
    longest, done = bench.expected(file)[3] * share, 0
    while done < kills:
        store = bench.fresh("kill-store")
        while done < kills:
            child = bench.start(file, store)
            time.sleep(rng.uniform(0, longest))
            code = child.poll()
            child.kill()
            done += 1
            if code is not None:
                if code:
                    tally.lost += 1
                    tally.note(f"{why}: exit {code} after a kill: {child.wait(1).last()}")
                break
        check_run(bench, bench.run(file, store), file, tally, why)
        check_store(bench, store, file, tally, why)
    tally.rounds += done


def kill_9(bench):
    """Kills at random moments: few-shot, training with checkpoints, linear probes."""
    tally, rng = Tally(), bench.random()
    killed(bench, bench.few, bench.times(150), 0.12, rng, tally, "few-shot")
    killed(bench, bench.train, bench.times(60), 0.35, rng, tally, "training")
    killed(bench, bench.linear, bench.times(60), 0.25, rng, tally, "linear")
    return tally


def many_at_once(bench):
    """Eight processes on one store, undisturbed and with kills."""
    tally, rng = Tally(), bench.random()
    for kills in (0, 6):
        for _ in range(bench.times(4)):
            store = bench.fresh("many-store")
            children = [bench.start(bench.few, store, "--jobs", "1") for _ in range(8)]
            for _ in range(kills):
                time.sleep(rng.uniform(0.05, 0.5))
                at = rng.randrange(8)
                children[at].kill()
                children[at] = bench.start(bench.few, store, "--jobs", "1")
            for child in children:
                check_run(bench, child.wait(240), bench.few, tally, f"eight processes, {kills} kills")
            twice = sum(n - 1 for n in finished(store).values() if n > 1)
            if twice:
                tally.wrong += 1
                tally.note(f"{kills} kills: steps finished twice", twice)
            check_store(bench, store, bench.few, tally, f"eight processes, {kills} kills")
            tally.rounds += 1
    return tally


def gc_beside(bench):
    """Collections of the same file, of another file and of none of the running ones, with `verify`, `show` and `status`, beside runs."""
    tally, rng = Tally(), bench.random()
    for mode in ("same file", "other file", "three files"):
        for _ in range(bench.times(6)):
            store = bench.fresh("gc-store")
            files = [bench.few] if mode != "three files" else [bench.small, bench.linear, bench.train]
            kept = {"same file": bench.few, "other file": bench.linear, "three files": bench.small}[mode]
            for file in files:
                bench.expected(file)
            children = [(file, bench.start(file, store)) for file in files]
            while any(child.poll() is None for _, child in children):
                beside(bench, tally, mode, store, kept, files[0])
                time.sleep(rng.uniform(0, 0.05))
                if children[0][1].began + 120 < time.time():
                    break
            for file, child in children:
                check_run(bench, child.wait(120), file, tally, f"gc of {mode} beside")
            for file in files:
                check_run(bench, bench.run(file, store), file, tally, f"run again after gc of {mode}")
            damaged = bench.verify(store)
            if damaged:
                tally.lost += 1
                tally.note(f"{mode}: {damaged} damaged afterwards")
            tally.rounds += 1
    return tally


def beside(bench, tally, mode, store, kept, shown):
    collected = bench.assay("gc", kept, "--store", store, "--delete")
    tally.judge(collected)
    if collected.code:
        tally.lost += 1
        tally.note(f"gc of {mode}: exit {collected.code}: {collected.last(140)}")
    damaged = bench.verify(store)
    if damaged:
        tally.lost += 1
        tally.note(f"verify beside ({mode}): {damaged} damaged")
        again = bench.assay("verify", "--store", store)
        bench.detail(fault="gc_beside", mode=mode, damaged=damaged, again=again.err[-500:])
    looked = bench.assay("show", shown, "--store", store, "--format", "json")
    tally.judge(looked)
    states = {state for state, _ in (cells(looked.out) or {}).values()}
    if "damaged" in states or "failed" in states or not states or some_wrong(looked.out, bench.expected(shown)[0]):
        tally.lost += 1
        tally.note(f"show beside ({mode}): states {sorted(states)}: {looked.last(140)}")
    counted = bench.assay("status", "--store", store)
    if counted.code or not tally.judge(counted):
        tally.lost += 1
        tally.note(f"status beside ({mode}): exit {counted.code}: {counted.last(140)}")


def gc_slow(bench):
    """A long collection of much garbage, while a run that was killed before is started again."""
    tally, rng = Tally(), bench.random()
    for i in range(bench.times(6)):
        store, file = bench.fresh("slow-store"), (bench.few, bench.train)[i % 2]
        whole = bench.expected(file)[3]
        child = bench.start(file, store)
        time.sleep(rng.uniform(0.3, 0.8) * whole)
        child.kill()
        for n in range(6000):
            key = hashlib.sha256(b"%d" % n).hexdigest()
            write(os.path.join(store, "steps", "junk", key[:2], f"{key}.entry"), b"assay entry 1 junk\n")
        collector = bench.child([bench.binary, "gc", file, "--store", store, "--delete"])
        junk = os.path.join(store, "steps", "junk")
        end = time.time() + 60
        while collector.poll() is None and time.time() < end and not any(n.endswith(".gone") for n in os.listdir(os.path.join(store, "work"))):
            time.sleep(0.001)
        check_run(bench, bench.run(file, store), file, tally, "beside a long gc")
        collected = collector.wait(120)
        tally.judge(collected)
        if collected.code:
            tally.lost += 1
            tally.note(f"a long gc: exit {collected.code}: {collected.last(140)}")
        check_run(bench, bench.run(file, store), file, tally, "run again after a long gc")
        left = sum(len(files) for _, _, files in os.walk(junk))
        if left:
            tally.note(f"{left} of 6000 junk entries stay")
        check_store(bench, store, file, tally, "after a long gc")
        tally.rounds += 1
    return tally
