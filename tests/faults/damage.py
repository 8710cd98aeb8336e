"""Damage inside the store: flipped bytes, parts that were cut off, exchanged or put there by somebody else."""

import collections
import glob
import json
import os
import shutil
import time

from bench import Entry, Tally, cells, copy_store, delete, entries, entry_paths, folder_of_images, numbers, read, readers, rewrite, some_wrong, write


def flip_byte(path, at, rng):
    """Another byte at `at`, with the times of before as far as a program can set them."""
    data = bytearray(read(path))
    data[at] ^= rng.randrange(1, 256)
    rewrite(path, bytes(data))


def places(store):
    """Every part of every file of a store: what it is called, the file, its range, and its entry."""
    for entry in entries(store):
        for part, (start, end) in entry.parts.items():
            yield f"{entry.kind}: {part}", entry.path, start, end, entry
        for file in entry.large:
            size = os.path.getsize(file)
            yield f"{entry.kind}: large file {'above' if size > 1 << 20 else 'up to'} 1 MiB", file, 0, size, entry
    for top in ("content", "facts", "runs"):
        for file in sorted(glob.glob(os.path.join(glob.escape(store), top, "*"))):
            name = {"content": "content records", "runs": "run logs"}.get(top) or "facts: " + file.rsplit(".", 1)[1]
            if os.path.getsize(file):
                yield name, file, 0, os.path.getsize(file), None


def verdict_of(bench, outcome, file, store, tally):
    """What became of a run over damaged files; counts what must not be."""
    expected, digests, _, _ = bench.expected(file)
    if not tally.judge(outcome):
        return "panic or hang"
    if cells(outcome.out) is None:
        tally.lost += 1
        return "WHOLE TABLE LOST"
    if some_wrong(outcome.out, expected):
        tally.wrong += 1
        return f"WRONG NUMBER, exit {outcome.code}"
    if numbers(outcome.out) is None or outcome.code:
        tally.lost += 1
        return f"CELL LOST, exit {outcome.code}"
    now = {}
    for path in entry_paths(store):
        try:
            now[Entry(path).key] = Entry(path).output
        except (ValueError, KeyError, OSError):
            continue
    if any(now[key] != output for key, output in digests.items() if key in now):
        tally.wrong += 1
        return "WRONG RESULT KEPT"
    return "told and right" if outcome.told else "right, not noticed"


def flips_of(bench, file, count, rng, verdicts, tally, only=None):
    """Flips bytes in every part of the store of `file`, each after what was computed from the part was taken away."""
    base = bench.expected(file)[2]
    later = readers(base)
    groups = collections.defaultdict(list)
    for place in places(base):
        groups[place[0]].append(place)
    for name, group in groups.items():
        if only and not only(name):
            continue
        for i in range(count):
            store = copy_store(base, bench.path("flip-store"))
            _, path, start, end, entry = rng.choice(group)
            path = path.replace(base, store)
            # A third of them where headers are.
            at = start + (rng.randrange(min(end - start, 200)) if i % 3 == 0 else rng.randrange(end - start))
            remake = later[entry.key] if entry else set(later) if i % 2 else set()
            for other in entries(store):
                if other.key in remake and (entry or other.kind not in ("features", "episodes", "weights")):
                    other.delete()
            if entry and i % 2:
                shutil.rmtree(os.path.join(store, "content"))
            flip_byte(path, at, rng)
            ran = bench.run(file, store)
            tally.rounds += 1
            verdict = verdict_of(bench, ran, file, store, tally)
            if entry and verdict == "right, not noticed":
                tally.lost += 1
                verdict = "READ, NOT NOTICED"
            if entry and verdict == "told and right":
                again = bench.run(file, store)
                if bench.verify(store) or numbers(again.out) != bench.expected(file)[0] or again.code:
                    tally.lost += 1
                    verdict = "NOT HEALED"
            verdicts[name][verdict] += 1
            bench.detail(fault="bit_flips", what=name, experiment=file, path=os.path.relpath(path, store), at=at, verdict=verdict,
                         remade=len(remake), code=ran.code, message=ran.err[-600:] if verdict.isupper() or verdict[0].isupper() else ran.last())


def flips_of_checkpoint(bench, count, rng, verdicts, tally):
    """Flips bytes of the checkpoint that an interrupted training goes on from."""
    base = interrupted_training(bench)
    for i in range(count if base else 0):
        store = copy_store(base, bench.path("flip-store"))
        found = checkpoints(store)
        size = os.path.getsize(found[0])
        flip_byte(found[0], rng.randrange(200) if i % 3 == 0 else rng.randrange(size), rng)
        ran = bench.run(bench.train, store)
        tally.rounds += 1
        verdict = verdict_of(bench, ran, bench.train, store, tally)
        if verdict == "right, not noticed":
            tally.lost += 1
            verdict = "READ, NOT NOTICED"
        verdicts["checkpoint of a training"][verdict] += 1
        bench.detail(fault="bit_flips", what="checkpoint", verdict=verdict, code=ran.code, message=ran.last())
    if not base:
        tally.note("no training could be interrupted")


def flips_of_known(bench, count, rng, verdicts, tally):
    """Flips bytes of a file above 1 MiB that was read before, so that its stamp is known to be that of a whole file."""
    for i in range(count):
        store = copy_store(bench.expected(bench.small)[2], bench.path("flip-store"))
        time.sleep(1.2)
        for _ in range(2):
            take_scores(store)
            bench.run(bench.small, store)
        take_scores(store)
        large = max((file for entry in entries(store) for file in entry.large), key=os.path.getsize)
        flip_byte(large, rng.randrange(os.path.getsize(large)), rng)
        ran = bench.run(bench.small, store)
        tally.rounds += 1
        verdict = verdict_of(bench, ran, bench.small, store, tally)
        tally.lost += verdict == "right, not noticed"
        verdicts["features: large file whose stamp was known"][verdict.replace("right, not", "READ, NOT")] += 1


OUTSIDE = """(
    tasks: { "t": (dataset: ImageFolder(root: "images"), image: (size: 28, resize: Stretch, color: Grey)) },
    models: { "one": (backbone: Conv4(channels: 1), weights: File(path: "one.safetensors"), polarity: Inverted),
              "two": (backbone: Conv4(channels: 1), weights: File(path: "two.safetensors"), polarity: Inverted) },
    protocols: { "f": FewShot(ways: 3, shots: 1, episodes: 200) },
)
"""


def of_outside_files(bench):
    """An experiment on images and weights whose digests are kept as facts."""
    root = bench.path("outside")
    file = os.path.join(root, "outside.ron")
    if not os.path.exists(file):
        folder_of_images(os.path.join(root, "images"), 5, 20, side=32, seed=3)
        for name, of in (("one", "simclr"), ("two", "supervised")):
            shutil.copy(os.path.join(bench.experiments, "weights", f"conv4-{of}.safetensors"), os.path.join(root, f"{name}.safetensors"))
        write(file, OUTSIDE)
        time.sleep(1.2)
    return file


def checkpoints(store):
    return [f for f in glob.glob(os.path.join(glob.escape(store), "work", "*.resume", "*")) if not f.endswith(".tmp")]


def interrupted_training(bench):
    bench.expected(bench.train)
    store = bench.fresh("interrupted")
    child = bench.start(bench.train, store)
    end = time.time() + 60
    while child.poll() is None and time.time() < end and not checkpoints(store):
        time.sleep(0.001)
    child.kill()
    return store if checkpoints(store) else None


def bit_flips(bench):
    """One byte of one file of the store is another: every kind of entry and each of its parts, records, facts, logs, checkpoints."""
    rng, tally, verdicts = bench.random(), Tally(), collections.defaultdict(collections.Counter)
    flips_of(bench, bench.small, bench.times(12), rng, verdicts, tally)
    flips_of(bench, bench.linear, bench.times(6), rng, verdicts, tally)
    flips_of(bench, bench.train, bench.times(6), rng, verdicts, tally, only=lambda name: name.startswith(("weights", "facts")))
    flips_of(bench, of_outside_files(bench), bench.times(12), rng, verdicts, tally, only=lambda name: name.startswith("facts"))
    flips_of_known(bench, bench.times(4), rng, verdicts, tally)
    flips_of_checkpoint(bench, bench.times(12), rng, verdicts, tally)
    total = collections.Counter()
    for name, found in sorted(verdicts.items()):
        print(f"    {name}: " + ", ".join(f"{verdict} {n}" for verdict, n in found.items()), flush=True)
        total.update(found)
        for verdict, n in found.items():
            if verdict[0].isupper() or verdict.startswith("panic"):
                tally.note(f"{name}: {verdict}", n)
    tally.note("in all: " + ", ".join(f"{verdict} {n}" for verdict, n in total.most_common()))
    return tally


# Other damage than a byte.

SCORES = ("few-shot", "linear", "knn", "classifier")


def scores(store):
    """Entries that a cell of the table is read from."""
    return [entry for entry in entries(store) if entry.kind in SCORES]


def inputs(store):
    """Entries with large files, which scores are computed from."""
    return [entry for entry in entries(store) if entry.kind not in SCORES and entry.large]


def take_scores(store):
    """What was computed from other entries has to be computed again; the records of it stay."""
    for entry in scores(store):
        entry.delete()


def exchange(a, b):
    one, two = read(a), read(b)
    write(a, two)
    write(b, one)


def edit_provenance(entry, change):
    """As somebody would who knows nothing of the seal."""
    data = read(entry.path)
    start, end = entry.parts["provenance"]
    provenance = json.loads(data[start:end])
    change(provenance)
    write(entry.path, data[:start] + json.dumps(provenance, separators=(",", ":")).encode() + b"\n" + data[end:])


def of_a_folder(path):
    delete(path)
    os.makedirs(path)


def fifo(path):
    delete(path)
    os.mkfifo(path)


def strange_files(store, name=".DS_Store"):
    for folder, folders, _ in list(os.walk(store)):
        write(os.path.join(folder, name), b"\0\0\0\1Bud1")


def record_of_another_kind(store):
    """All records of all kinds, in the file of every kind."""
    files = glob.glob(os.path.join(glob.escape(store), "content", "*.records"))
    everything = b"".join(read(f) for f in files)
    for kind in os.listdir(os.path.join(store, "steps")):
        write(os.path.join(store, "content", f"{kind}.records"), everything)


def records_that_name(store, key):
    """Every record names the same entry; its check digest stays."""
    for file in glob.glob(os.path.join(glob.escape(store), "content", "*.records")):
        data = bytearray(read(file))
        for at in range(0, len(data) - 111, 112):
            data[at + 64:at + 96] = bytes.fromhex(key)
        write(file, bytes(data))


def exchange_memos(store):
    memos = sorted(glob.glob(os.path.join(glob.escape(store), "facts", "*.memo")))
    for a, b in zip(memos, memos[1:]):
        exchange(a, b)


def rotate_facts(store):
    """Each stamp gets the digest of the next file."""
    for path in glob.glob(os.path.join(glob.escape(store), "facts", "*.files")):
        data = read(path)
        head, body = data[:16], data[16:]
        records = [body[i:i + 72] for i in range(0, len(body) - 71, 72)]
        turned = [a[:40] + b[40:] for a, b in zip(records, records[1:] + records[:1])]
        write(path, head + b"".join(turned))


def oddities():
    """Each: a name, what is done to the store, whether scores are computed again, and whether it must be told."""
    def first(store, of=scores):
        return of(store)[0]

    def both(store, of, act):
        a, b = of(store)[:2]
        act(a, b)

    yield "entry replaced by that of another key", lambda s: both(s, scores, lambda a, b: shutil.copy(b.path, a.path)), False, True
    yield "input replaced by that of another key", lambda s: both(s, inputs, lambda a, b: shutil.copy(b.path, a.path)), True, True
    yield "two entries exchanged", lambda s: both(s, scores, lambda a, b: exchange(a.path, b.path)), False, True
    yield "plain files exchanged", lambda s: both(s, inputs, lambda a, b: exchange(a.large[0], b.large[0])), True, True
    yield "folders of plain files exchanged", lambda s: both(s, inputs, swap_folders), True, True
    yield "plain file deleted", lambda s: os.remove(first(s, inputs).large[0]), True, True
    yield "plain file empty", lambda s: write(first(s, inputs).large[0], b""), True, True
    yield "plain file longer", lambda s: write(first(s, inputs).large[0], read(first(s, inputs).large[0]) + b"\0"), True, True
    yield "plain file is a folder", lambda s: of_a_folder(first(s, inputs).large[0]), True, True
    yield "plain file is a pipe", lambda s: fifo(first(s, inputs).large[0]), True, True
    yield "folder of plain files is a file", lambda s: (lambda d: (shutil.rmtree(d), write(d, b"x")))(os.path.dirname(first(s, inputs).large[0])), True, True
    yield "folder of plain files deleted", lambda s: shutil.rmtree(os.path.dirname(first(s, inputs).large[0])), True, True
    yield "stranger in a folder of plain files", lambda s: write(os.path.join(os.path.dirname(first(s, inputs).large[0]), "stranger"), b"x"), True, False
    for part in ("nothing", "seal", "recipe", "provenance", "all but a byte"):
        yield f"entry cut off after {part}", lambda s, part=part: cut(first(s), part), False, True
        if part == "provenance":
            continue  # An input with large files alone ends there.
        yield f"input cut off after {part}", lambda s, part=part: cut(first(s, inputs), part), True, True
    yield "trailing byte", lambda s: write(first(s).path, read(first(s).path) + b"\n"), False, True
    yield "trailing megabyte", lambda s: write(first(s).path, read(first(s).path) + bytes(1 << 20)), False, True
    yield "input with a trailing byte", lambda s: write(first(s, inputs).path, read(first(s, inputs).path) + b"x"), True, True
    yield "entry is a folder", lambda s: of_a_folder(first(s).path), False, True
    yield "input is a folder", lambda s: of_a_folder(first(s, inputs).path), True, True
    yield "entry is a pipe", lambda s: fifo(first(s).path), False, True
    yield "input is a pipe", lambda s: fifo(first(s, inputs).path), True, True
    yield "entry is a dangling link", lambda s: (lambda p: (os.remove(p), os.symlink("/nonexistent/x", p)))(first(s).path), False, True
    yield "entry is a link to itself", lambda s: (lambda p: (os.remove(p), os.symlink(os.path.basename(p), p)))(first(s).path), False, True
    yield "entry is a link to /dev/zero", lambda s: (lambda p: (os.remove(p), os.symlink("/dev/zero", p)))(first(s).path), False, True
    yield "provenance edited, seal left", lambda s: edit_provenance(first(s), lambda p: p.update(label="x")), False, True
    yield "provenance of 64 MB, seal left", lambda s: edit_provenance(first(s), lambda p: p.update(label="x" * (64 << 20))), False, True
    yield "entry of 256 MiB of nothing", lambda s: os.truncate(first(s).path, 256 << 20), False, True
    yield "every score cut in half", lambda s: [os.truncate(e.path, os.path.getsize(e.path) // 2) for e in scores(s)], False, True
    yield "every entry empty", lambda s: [write(p, b"") for p in entry_paths(s)], False, True
    yield "every entry a folder", lambda s: [of_a_folder(p) for p in entry_paths(s)], False, True
    yield "prefix folder is a file", lambda s: (lambda d: (shutil.rmtree(d), write(d, b"x")))(os.path.dirname(first(s).path)), False, False
    yield "kind folder is a file", lambda s: (lambda d: (shutil.rmtree(d), write(d, b"x")))(os.path.dirname(os.path.dirname(first(s).path))), False, False
    yield "records name other entries", lambda s: (records_that_name(s, first(s).key), [e.delete() for e in scores(s)[1:]]), False, False
    yield "records of all kinds in each", lambda s: (record_of_another_kind(s), [e.delete() for e in scores(s)[1:]]), False, False
    yield "records of a byte more in front", lambda s: ([write(f, b"x" + read(f)) for f in glob.glob(os.path.join(glob.escape(s), "content", "*"))], [e.delete() for e in scores(s)]), False, False
    yield "records are folders", lambda s: ([of_a_folder(f) for f in glob.glob(os.path.join(glob.escape(s), "content", "*"))], [e.delete() for e in scores(s)]), False, False
    yield "records are pipes", lambda s: ([fifo(f) for f in glob.glob(os.path.join(glob.escape(s), "content", "*"))], [e.delete() for e in scores(s)]), False, False
    yield "facts: memos exchanged", lambda s: exchange_memos(s), False, False
    yield "facts: memos exchanged, scores anew", lambda s: exchange_memos(s), True, False
    yield "facts: each file has the digest of another", lambda s: rotate_facts(s), True, False
    yield "facts: empty", lambda s: [write(f, b"") for f in glob.glob(os.path.join(glob.escape(s), "facts", "*"))], True, False
    yield "facts: folders", lambda s: [of_a_folder(f) for f in glob.glob(os.path.join(glob.escape(s), "facts", "*"))], True, False
    yield "facts: cut off", lambda s: [os.truncate(f, max(0, os.path.getsize(f) - 41)) for f in glob.glob(os.path.join(glob.escape(s), "facts", "*"))], True, False
    yield ".DS_Store everywhere", lambda s: strange_files(s), False, False
    yield ".DS_Store everywhere, scores anew", lambda s: strange_files(s), True, False
    yield "pipe in steps/", lambda s: fifo(os.path.join(s, "steps", "pipe")), True, False
    yield "pipe in steps/<kind>/", lambda s: fifo(os.path.join(s, "steps", "features", "pipe")), True, False
    yield "pipe named as an entry of its own", lambda s: fifo(os.path.join(os.path.dirname(first(s, inputs).path), os.path.basename(first(s, inputs).path)[:2] + "0" * 62 + ".entry")), True, False
    yield "pipe in content/", lambda s: fifo(os.path.join(s, "content", "pipe.records")), True, False
    yield "pipe in work/", lambda s: fifo(os.path.join(s, "work", "0" * 64 + ".lease")), True, False
    yield "pipe in runs/", lambda s: fifo(os.path.join(s, "runs", "0.jsonl")), True, False
    yield "lock of collections is a folder", lambda s: of_a_folder(os.path.join(s, "work", "sweep.lock")), True, None
    yield "name that is not UTF-8 in steps/", lambda s: write(os.path.join(s.encode(), b"steps", b"features", b"\xff\xfe"), b"x"), True, False
    yield "entry under another kind", lambda s: shutil.copytree(os.path.join(s, "steps", "features"), os.path.join(s, "steps", "future-kind")), True, False
    yield "clock: everything made in 1970", lambda s: stamp(s, 0), True, False
    yield "clock: everything made in 2100", lambda s: stamp(s, 4102444800), True, False


def swap_folders(a, b):
    one, two = os.path.dirname(a.large[0]), os.path.dirname(b.large[0])
    os.rename(one, one + "x")
    os.rename(two, one)
    os.rename(one + "x", two)


def cut(entry, part):
    size = {"nothing": 0, "all but a byte": os.path.getsize(entry.path) - 1}.get(part)
    os.truncate(entry.path, entry.parts[part][1] if size is None else size)


def stamp(store, when):
    for folder, _, names in os.walk(store):
        for name in names:
            os.utime(os.path.join(folder, name), (when, when))


def odd_entries(bench):
    """Entries, plain files, records and facts that were exchanged, cut off, or are no files at all."""
    tally = Tally()
    for name, change, anew, must_tell in oddities():
        file = of_outside_files(bench) if name.startswith("facts") else bench.small
        expected, _, base, _ = bench.expected(file)
        for before in ("run", "show"):
            store = copy_store(base, bench.path("odd-store"))
            if anew:
                take_scores(store)
            try:
                change(store)
            except (IndexError, FileNotFoundError) as error:
                tally.note(f"not tried: {name} ({error!r})")
                break
            tally.rounds += 1
            if before == "show":
                look_at(bench, name, file, store, expected, tally)
                continue
            ran = bench.run(file, store, timeout=15)
            verdict = verdict_of(bench, ran, file, store, tally)
            if verdict == "right, not noticed" and must_tell:
                tally.lost += 1
                verdict = "NOT NOTICED"
            again = bench.run(file, store, timeout=15)
            if verdict in ("told and right", "right, not noticed"):
                if again.code or numbers(again.out) != expected:
                    tally.lost += 1
                    verdict = "NOT HEALED"
            if verdict[0].isupper() or verdict.startswith("panic"):
                tally.note(f"{name}: {verdict} ({ran.last(100)})")
            bench.detail(fault="odd_entries", name=name, verdict=verdict, code=ran.code, again=again.code, message=ran.err[-600:])
    return tally


def look_at(bench, name, file, store, expected, tally):
    """The commands that only look, on a store that is damaged: no panic, nothing false, other cells printed."""
    label = scores(bench.expected(file)[2])[0].provenance["label"]
    for command in (["show", file, "--format", "json"], ["status"], ["verify"], ["verify", "--format", "json"], ["plan", file], ["gc", file],
                    ["why", file, label], ["export", "results", file, "--to", "csv"], ["gc", file, "--delete"]):
        looked = bench.assay(*command, "--store", store, timeout=15)
        what = " ".join(c for c in command if c != file)
        if not tally.judge(looked):
            tally.note(f"{name}: {what} {'panicked' if looked.panicked else 'hung'}")
        elif looked.code not in (0, 1):
            tally.lost += 1
            tally.note(f"{name}: {what} exit {looked.code}: {looked.last(100)}")
        elif command[0] == "show":
            states = [state for state, _ in (cells(looked.out) or {}).values()]
            if not states or some_wrong(looked.out, expected) or (looked.code == 0) != all(s in ("done", "missing", "not run", "not_run") for s in states):
                tally.lost += 1
                tally.note(f"{name}: show exit {looked.code}, states {collections.Counter(states)}: {looked.last(80)}")
        elif command[0] in ("status", "gc", "plan") and looked.code:
            tally.lost += 1
            tally.note(f"{name}: {what} exit 1: {looked.last(120)}")
        bench.detail(fault="odd_entries", name=name, command=what, code=looked.code, message=looked.last(300), out=looked.out[:100])
