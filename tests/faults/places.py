"""Where a store may be, and what may become of that place: full, gone, read-only, somebody else's, linked."""

import os
import shutil
import subprocess
import tempfile
import time

from bench import Tally, copy_store, delete, entries, numbers, some_wrong, write
from damage import take_scores


def disk_full(bench):
    """Small file systems, few inodes, full output, a limit on the size of files."""
    tally = Tally()
    if os.getuid():
        tally.note("skipped: mounting needs root")
        return tally
    expected, place = bench.expected(bench.few)[0], bench.path("full")
    os.makedirs(place, exist_ok=True)
    sizes = [f"size={s}" for s in ("64k", "160k", "256k", "512k", "1m", "2m", "4m", "6m", "8m", "10m")]
    for option in sizes + [f"size=64m,nr_inodes={n}" for n in (4, 20, 100, 200)]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", place], check=True)
        try:
            store = os.path.join(place, "store")
            ran = bench.run(bench.few, store)
            clear = "No space left" in ran.err and "full" in ran.err
            tally.check(f"{option}: ends and says why", numbers(ran.out) == expected and ran.code == 0 or ran.code == 1 and clear, ran)
            tally.wrong += some_wrong(ran.out, expected)
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10000", place], check=True)
            ran = bench.run(bench.few, store)
            tally.check(f"{option}: whole after enlarging", ran.code == 0 and numbers(ran.out) == expected and bench.verify(store) == 0, ran)
        finally:
            subprocess.run(["umount", place], check=True)
    with open("/dev/full", "w") as full:
        ran = bench.run(bench.few, bench.expected(bench.few)[2], out=full)
        tally.check("output that is full is told", ran.code not in (0, None), ran)
    store = bench.fresh("limited-store")
    bench.run(bench.few, store, file_size=300_000)
    ran = bench.run(bench.few, store)
    tally.check("whole after a limit on the size of files", numbers(ran.out) == expected and bench.verify(store) == 0, ran)
    return tally


def odd_stores(bench):
    """A store that is a file, a link, named strangely, deleted while in use, not ours, read-only, or shares files with another."""
    tally = Tally()
    expected, _, base, _ = bench.expected(bench.few)
    small = bench.expected(bench.small)[0]

    def expect(name, ran, codes, text="", file=bench.few):
        want = expected if file == bench.few else small
        wrong = some_wrong(ran.out, want)
        tally.wrong += wrong
        tally.check(name, ran.code in codes and text in ran.err and not wrong and (ran.code != 0 or numbers(ran.out) == want), ran)
        bench.detail(fault="odd_stores", name=name, code=ran.code, message=ran.err[-300:])

    a_file = write(bench.path("a-file"), "x")
    expect("store is a file", bench.run(bench.few, a_file), {1})
    expect("store below a file", bench.run(bench.few, os.path.join(a_file, "store")), {1}, "Not a directory")
    expect("store is /dev/null", bench.run(bench.few, "/dev/null"), {1})
    link, target = bench.fresh("link"), bench.fresh("link-target")
    os.symlink(target, link)
    expect("dangling link", bench.run(bench.small, link), {0, 1}, file=bench.small)
    os.makedirs(target, exist_ok=True)
    expect("linked store", bench.run(bench.small, link), {0}, file=bench.small)
    expect("linked store by its other name", bench.run(bench.small, target), {0}, file=bench.small)
    delete(link)
    os.symlink(link, link)
    expect("link to itself", bench.run(bench.small, link), {1}, file=bench.small)
    names = {"spaces": "a b  c", "unicode": "ä 字 🎉", "newline": "a\nb", "escape": "a\x1b[31mb", "not UTF-8": b"a\xffb", "long": "x" * 255,
             "quotes": "a'\"b", "pattern": "a*[b]?", "dash": "-store", "dollar": "a$HOME`b"}
    for name, part in names.items():
        store = os.path.join(bench.scratch.encode() if isinstance(part, bytes) else bench.scratch, part)
        shutil.rmtree(store, ignore_errors=True)
        ran = bench.run(bench.small, store)
        expect(f"store named with {name}", ran, {0}, file=bench.small)
        tally.check(f"store named with {name}: no control character reaches the terminal", "\x1b" not in ran.err + ran.out)
        expect(f"store named with {name}, again", bench.run(bench.small, store), {0}, file=bench.small)
        shutil.rmtree(store, ignore_errors=True)
    expect("path that is too long", bench.run(bench.few, bench.path(*["y" * 200] * 25)), {1})
    for part in ("", "work", "steps", "facts", "content"):
        store = bench.fresh("vanish-store")
        child = bench.start(bench.few, store)
        time.sleep(0.25 * bench.expected(bench.few)[3])
        shutil.rmtree(os.path.join(store, part), ignore_errors=True)
        expect(f"{part or 'store'} deleted while running", child.wait(), {0, 1})
        expect(f"{part or 'store'} deleted while running, again", bench.run(bench.few, store), {0})
    linked_files(bench, tally)
    if os.getuid() == 0:
        of_another_user(bench, tally, expect, base)
    return tally


def linked_files(bench, tally):
    """Two stores that share files by links; one is damaged, mended and collected, and the other must not suffer."""
    base, expected = bench.expected(bench.small)[2], bench.expected(bench.small)[0]
    for how in (os.symlink, os.link):
        one, two = copy_store(base, bench.path("linked-one")), copy_store(base, bench.path("linked-two"))
        for a, b in zip(entries(one), entries(two)):
            for x, y in [(a.path, b.path), *zip(a.large, b.large)]:
                os.remove(y)
                how(x, y)
        name = how.__name__
        tally.check(f"{name}: right", numbers(bench.run(bench.small, two).out) == expected)
        with open(next(e for e in entries(one) if e.large).large[0], "r+b") as file:
            file.seek(1000)
            file.write(b"\x55\xaa")
        for store in (two, one):
            take_scores(store)
            ran = bench.run(bench.small, store)
            tally.check(f"{name}: right after damage", numbers(ran.out) == expected and ran.code == 0, ran)
            bench.assay("gc", bench.small, "--store", store, "--delete")
        empty = write(bench.path("other.ron"), open(bench.small).read().replace("seed: 2", "seed: 9"))
        bench.assay("gc", empty, "--store", two, "--delete")
        ran = bench.run(bench.small, one)
        tally.check(f"{name}: right after the other was emptied", numbers(ran.out) == expected and ran.code == 0 and bench.verify(one) == 0, ran)
        ran = bench.run(bench.small, two)
        tally.check(f"{name}: the other again", numbers(ran.out) == expected and ran.code == 0 and bench.verify(two) == 0, ran)


def of_another_user(bench, tally, expect, base):
    """A finished store of root, used by somebody who may only read it; and mounted read-only."""
    where = tempfile.mkdtemp(prefix="faults-", dir="/tmp")
    try:
        os.chmod(where, 0o755)
        binary = shutil.copy(bench.binary, os.path.join(where, "assay"))
        shutil.copytree(bench.experiments, os.path.join(where, "experiments"))
        store, few = shutil.copytree(base, os.path.join(where, "store")), os.path.join(where, "experiments", "fewshot.ron")

        def other(*args):
            return bench.child([binary, *args], user=65534, cwd=where, env={"HOME": "/nonexistent"}).wait()
        json = ("--format", "json")
        expect("finished store of another user, run", other("run", few, "--store", store, *json), {0})
        expect("finished store of another user, show", other("show", few, "--store", store, *json), {0})
        for command in (("plan", few), ("verify",), ("status",), ("gc", few), ("gc", few, "--delete")):
            looked = other(*command, "--store", store)
            tally.check(f"finished store of another user, {' '.join(command[::2])}", looked.code == 0 or "--delete" in command, looked)
        expect("finished store of another user, new steps", other("run", few, "--store", store, *json, "--set", "protocols.5w1s.seed=9"), {1}, "ermission")
        expect("new store where nothing may be written", other("run", few, "--store", os.path.join(where, "new"), *json), {1}, "ermission")
        os.chmod(store, 0)
        expect("store without any permission", other("run", few, "--store", store, *json), {1}, "ermission")
        os.chmod(store, 0o755)
        mounted = os.path.join(where, "mounted")
        os.mkdir(mounted)
        subprocess.run(["mount", "--bind", store, mounted], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
            expect("read-only mount, finished", bench.run(bench.few, mounted), {0})
            shutil.rmtree(os.path.join(store, "facts"))
            expect("read-only mount without facts", bench.run(bench.few, mounted), {0})
        finally:
            subprocess.run(["umount", mounted], check=True)
    finally:
        shutil.rmtree(where, ignore_errors=True)
