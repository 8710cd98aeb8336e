"""What surrounds a run: signals, pipes, limits, the environment, clocks, stores of other versions, numbers out of range."""

import glob
import json
import os
import shutil
import signal
import struct
import time

from bench import GB, TINY, Tally, cells, copy_store, entries, folder_of_images, numbers, outputs, picture, read, rewrite, some_wrong, write
from damage import scores, strange_files, take_scores
from inputs import images_of


def signals_and_surroundings(bench):
    """INT, TERM, HUP and QUIT; closed pipes and descriptors; environment; limits of files, memory and threads; no network, no /proc."""
    tally, rng = Tally(), bench.random()
    try_signals(bench, tally, rng)
    try_descriptors(bench, tally)
    small = bench.expected(bench.small)[0]

    def run(name, *more, prefix=(), **how):
        store = bench.fresh("signal-store")
        ran = bench.child([*prefix, bench.binary, "run", bench.small, "--store", store, "--format", "json", *more], **how).wait(90)
        return name, ran, ran.code == 0 and numbers(ran.out) == small
    environment = {
        "no HOME": {"HOME": None}, "HOME is not UTF-8": {"HOME": b"/\xff"}, "TERM dumb": {"TERM": "dumb"}, "no TERM": {"TERM": None},
        "Turkish": {"LANG": "tr_TR.ISO-8859-9", "LC_ALL": "tr_TR.ISO-8859-9"}, "LC_ALL C": {"LC_ALL": "C"}, "no PATH": {"PATH": None},
        "no TMPDIR": {"TMPDIR": "/nonexistent"}, "RUST_BACKTRACE": {"RUST_BACKTRACE": "full"}, "RAYON 0": {"RAYON_NUM_THREADS": "0"},
        "RAYON 1": {"RAYON_NUM_THREADS": "1"}, "no columns": {"COLUMNS": "0"}, "variable not UTF-8": {"ODD": b"\xff\xfe"}}
    for name, variables in environment.items():
        name, ran, holds = run(name, env=variables)
        tally.check(name, holds, ran)
    for files in (64, 32, 16, 10):
        name, ran, holds = run(f"{files} descriptors", files=files)
        tally.check(name, holds or files < 32 and ran.code == 1, ran)
    for jobs in ("1", "64", "1000"):
        name, ran, holds = run(f"{jobs} jobs", "--jobs", jobs)
        tally.check(name, holds, ran)
    for gigabytes in (4, 2, 1):
        name, ran, holds = run(f"{gigabytes} GB of address space", memory=gigabytes * GB)
        tally.check(name, holds or ran.code == 1, ran)
    gone = bench.fresh("gone")
    os.makedirs(gone)
    name, ran, holds = run("working folder deleted", prefix=("sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "sh"))
    tally.check(name, holds, ran)
    if os.getuid() or not shutil.which("unshare"):
        tally.note("skipped, needing root and unshare: temporary folders read-only, no network, no /proc")
        return tally
    for name, prefix in {"temporary folders read-only": ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro tmpfs /var/tmp; exec "$@"', "sh"),
                         "no network": ("unshare", "-n"), "no /proc": ("unshare", "-m", "sh", "-c", 'umount -l /proc; exec "$@"', "sh")}.items():
        name, ran, holds = run(name, prefix=prefix, env={"TMPDIR": "/var/tmp"})
        tally.check(name, holds, ran)
    return tally


def try_signals(bench, tally, rng):
    for what, codes in ((signal.SIGINT, {130}), (signal.SIGTERM, {130, 143, -15}), (signal.SIGHUP, {130, 129, -1}), (signal.SIGQUIT, {-3, 131})):
        for file in (bench.few, bench.train):
            expected, _, _, seconds = bench.expected(file)
            for _ in range(bench.times(3)):
                store = bench.fresh("signal-store")
                child = bench.start(file, store)
                time.sleep(rng.uniform(0.05, 0.7) * seconds)
                at = time.time()
                child.signal(what)
                ran = child.wait(30)
                took = time.time() - at
                again = bench.run(file, store)
                holds = ran.code in codes | {0} and took < 10 and numbers(again.out) == expected
                tally.check(f"{what.name}, {took:.1f} s", holds, ran)
    expected, _, _, seconds = bench.expected(bench.few)
    child = bench.start(bench.few, bench.fresh("signal-store"))
    time.sleep(0.3 * seconds)
    for _ in range(2):
        child.signal(signal.SIGINT)
        time.sleep(0.01)
    ran = child.wait(10)
    tally.check("INT twice", ran.code in (130, 0, -2), ran)
    # Stopped for a while, as by Ctrl-Z, beside another process on the same store.
    store = bench.fresh("signal-store")
    first = bench.start(bench.few, store)
    time.sleep(0.3 * seconds)
    first.signal(signal.SIGSTOP)
    second = bench.start(bench.few, store)
    time.sleep(2)
    first.signal(signal.SIGCONT)
    for child in (first, second):
        ran = child.wait()
        tally.check("stopped and continued beside another", numbers(ran.out) == expected, ran)


def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb")


def try_descriptors(bench, tally):
    expected, digests, store, _ = bench.expected(bench.small)
    for form in ("table", "json", "csv", "markdown"):
        ran = bench.run(bench.small, store, form=form, out=closed_pipe())
        tally.check(f"closed pipe, {form}", ran.code in (0, -13), ran)
    weights = os.path.join(bench.experiments, "weights", "conv4-simclr.safetensors")
    for command in (["models"], ["tasks"], ["plan", bench.small], ["status"], ["--help"], ["completions", "bash"], ["weights", "inspect", weights],
                    ["why", bench.small, "score/pixels/glyphs/5w1s"], ["doctor"], ["verify"], ["gc", bench.small], ["show", bench.small],
                    ["export", "results", bench.small, "--to", "csv"]):
        if command[0] in ("plan", "status", "why", "verify", "gc", "show", "export"):
            command = [*command, "--store", store]
        ran = bench.assay(*command, out=closed_pipe())
        tally.check(f"closed pipe, {command[0]}", ran.code in (0, -13), ran)
        ran = bench.assay(*command, close=(1,))
        tally.check(f"no stdout, {command[0]}", (ran.code or 0) >= 0, ran)
    for descriptors, name in (((1,), "stdout"), ((2,), "stderr"), ((0,), "stdin"), ((0, 1, 2), "all three")):
        new = bench.fresh("signal-store")
        ran = bench.run(bench.small, new, close=descriptors)
        tally.check(f"{name} closed", outputs(new) == digests and bench.verify(new) == 0, ran)
    ran = bench.run(bench.small, bench.fresh("signal-store"), err=closed_pipe())
    tally.check("stderr is a closed pipe", ran.code == 0 and numbers(ran.out) == expected, ran)
    with open("/dev/full", "w") as full:
        ran = bench.run(bench.small, bench.fresh("signal-store"), err=full)
        tally.check("stderr is full", ran.code == 0 and numbers(ran.out) == expected, ran)


def odd_times(bench):
    """Time stamps of images and of the store's files far away, and clocks that jump where `faketime` is there."""
    tally, rng, root = Tally(), bench.random(), bench.fresh("times")
    folder_of_images(os.path.join(root, "images"), 3, 20)
    file = write(os.path.join(root, "x.ron"), TINY.replace("episodes: 20", "episodes: 200") % "images")
    store, images = bench.fresh("times-store"), images_of(os.path.join(root, "images"))
    times = {"1970": 0, "1938": -10 ** 9, "1901": -(1 << 31), "2038": (1 << 31) + 5, "2100": 4102444800, "2400": 13569465600, "far": 15_000_000_000,
             "next hour": int(time.time()) + 3600}
    for name, when in times.items():
        for edited in (False, True):
            for path in images:
                if edited:
                    rewrite(path, picture(rng), False)
                try:
                    os.utime(path, (when, when))
                except (OSError, OverflowError):
                    pass
            ran, new = bench.run(file, store), bench.run(file, bench.fresh("times-new"))
            stale = ran.code == 0 and numbers(ran.out) != numbers(new.out)
            tally.wrong += stale
            tally.check(f"images of {name}{', edited' * edited}", not stale and ran.code == 0 and numbers(ran.out) is not None, ran)
    expected, _, base, _ = bench.expected(bench.few)
    for when in (0, 4102444800):
        store = copy_store(base, bench.path("times-store"))
        for folder, _, names in os.walk(store):
            for name in names:
                os.utime(os.path.join(folder, name), (when, when))
        ran = bench.run(bench.few, store)
        tally.check(f"store of {when}", numbers(ran.out) == expected and ran.code == 0, ran)
        for command in (["why", bench.few, "score/pixels/glyphs/5w1s"], ["status"], ["verify"], ["plan", bench.few], ["gc", bench.few]):
            looked = bench.assay(*command, "--store", store)
            tally.check(f"{command[0]} of {when}", looked.code == 0, looked)
    if not shutil.which("faketime"):
        tally.note("no faketime: the clock itself was not set")
        return tally
    store = bench.fresh("times-store")
    for when in ("2200-01-01", "2000-01-01", "1969-12-31 23:00:00"):
        for where in (store, bench.fresh("times-new")):
            ran = bench.child(["faketime", when, bench.binary, "run", bench.small, "--store", where, "--format", "json"]).wait()
            tally.check(f"clock of {when}", numbers(ran.out) == bench.expected(bench.small)[0], ran)
    return tally


def large_numbers(bench):
    """Weights whose features are finite and very large, beside a model that is well: its cells stay, the others say why."""
    tally, home = Tally(), bench.fresh("large")
    data = read(os.path.join(bench.experiments, "weights", "conv4-simclr.safetensors"))
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    text = open(bench.linear).read().replace("weights: Random(seed: 0)", 'weights: File(path: "large.safetensors")').replace("width: 16", "width: 64")
    few = ', "few": FewShot(ways: 5, shots: 1, episodes: 100) },\n)'
    file = write(os.path.join(home, "large.ron"), text.rstrip().removesuffix(")").rstrip().removesuffix("},") .rstrip() + few)
    well = None
    for scale in (1, 1e6, 1e9, 1e12, 1e15, 1e18, 1e30):
        changed = bytearray(data)
        for name in ("3.1.weight", "3.1.bias"):
            start, end = (offset + 8 + size for offset in header[name]["data_offsets"])
            values = struct.unpack(f"<{(end - start) // 4}f", changed[start:end])
            changed[start:end] = struct.pack(f"<{len(values)}f", *[max(-3e38, min(3e38, value * scale)) for value in values])
        write(os.path.join(home, "large.safetensors"), bytes(changed))
        store = bench.fresh("large-store")
        ran = bench.run(file, store)
        found = cells(ran.out) or {}
        pixels = {key: cell for key, cell in found.items() if key[0] == "pixels"}
        well = well or pixels
        tally.check(f"×{scale:g}: the other model's cells", bool(pixels) and pixels == well and all(state == "done" for state, _ in pixels.values()), ran)
        others = {state for key, (state, _) in found.items() if key[0] != "pixels"}
        tally.check(f"×{scale:g}: exit {ran.code} tells of {sorted(others)}", (ran.code == 0) == (others == {"done"}), ran)
        tally.check(f"×{scale:g}: no value that is none", not any("null" in value or "NaN" in value for state, value in found.values() if state == "done"), ran)
        again = bench.run(file, store)
        tally.check(f"×{scale:g}: the same again", cells(again.out) == cells(ran.out) and bench.verify(store) == 0, again)
    return tally


def version_skew(bench):
    """Stores with files, records, facts, logs and entries of other versions."""
    tally = Tally()
    expected, _, base, _ = bench.expected(bench.few)

    def every(pattern, change):
        return lambda store: [change(path) for path in glob.glob(os.path.join(glob.escape(store), *pattern.split("/")))]

    def folder(path):
        return os.path.join(path, "strange")

    def older_layout(store):
        for entry in entries(store):
            old = entry.path[:-len(".entry")]
            for name in ("recipe.json", "provenance.json", "summary.json"):
                write(os.path.join(old, name), "{}")
            write(os.path.join(store, "content", entry.kind, entry.key[:2], entry.key), entry.key)

    def replace(path, old, new):
        write(path, read(path).replace(old, new, 1))
    cases = {
        "strange files everywhere": strange_files,
        "the layout of before, beside": older_layout,
        "the layout of before, alone": lambda s: (older_layout(s), [e.delete() for e in entries(s)]),
        "entries of a later version": every("steps/few-shot/*/*.entry", lambda p: replace(p, b"assay entry 1 ", b"assay entry 2 ")),
        "inputs of a later version": lambda s: (every("steps/features/*/*.entry", lambda p: replace(p, b"assay entry 1 ", b"assay entry 2 "))(s), take_scores(s)),
        "facts of a later version": every("facts/*.files", lambda p: write(p, b"assay facts 9\n\0\0" + bytes(144))),
        "facts cut off": every("facts/*", lambda p: write(p, read(p)[:-40])),
        "facts empty": every("facts/*", lambda p: write(p, b"")),
        "facts of zeros": every("facts/*", lambda p: write(p, bytes(len(read(p))))),
        "no facts": lambda s: shutil.rmtree(os.path.join(s, "facts")),
        "records empty": every("content/*", lambda p: write(p, b"")),
        "records of zeros, scores anew": lambda s: (every("content/*", lambda p: write(p, bytes(2240)))(s), take_scores(s)),
        "records of text, scores anew": lambda s: (every("content/*", lambda p: write(p, "x" * 12345))(s), take_scores(s)),
        "no records": lambda s: shutil.rmtree(os.path.join(s, "content")),
        "logs broken": every("runs/*", lambda p: write(p, b"\xff\0{")),
        "no logs": lambda s: shutil.rmtree(os.path.join(s, "runs")),
        "no work": lambda s: shutil.rmtree(os.path.join(s, "work")),
        "no CACHEDIR.TAG": lambda s: os.remove(os.path.join(s, "CACHEDIR.TAG")),
        "a lease of somebody who is dead": lambda s: (take_scores(s), [write(os.path.join(s, "work", f"{e.key}.lease"), '{"host": "gone"') for e in entries(base)]),
        "a checkpoint of zeros": lambda s: (take_scores(s), [write(os.path.join(s, "work", f"{e.key}.resume", "training.safetensors"), bytes(999)) for e in scores(base)]),
        "an announcement of a run that is dead": lambda s: write(os.path.join(s, "work", "gone-1-0-0.live"), b"x" * 77),
        "an unknown folder at the top": lambda s: os.makedirs(os.path.join(s, "future", "x")),
    }
    for name, change in cases.items():
        store = copy_store(base, bench.path("skew-store"))
        change(store)
        ran = bench.run(bench.few, store)
        tally.wrong += some_wrong(ran.out, expected)
        tally.check(name, ran.code == 0 and numbers(ran.out) == expected, ran)
        for command in (["plan", bench.few], ["status"], ["gc", bench.few], ["why", bench.few, "score/pixels/glyphs/5w1s"], ["verify"], ["gc", bench.few, "--delete"]):
            looked = bench.assay(*command, "--store", store)
            tally.check(f"{name}: {command[0]}", looked.code == 0 or command[0] == "verify" and looked.code == 1 and "inputs" not in name, looked)
        again = bench.run(bench.few, store)
        tally.check(f"{name}: again", again.code == 0 and numbers(again.out) == expected and bench.verify(store) == 0, again)
    return tally
