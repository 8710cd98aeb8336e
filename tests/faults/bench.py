"""What every fault needs: the binary as a child process, what a reader of results sees, and a view into a store."""

import collections
import glob
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib

GB = 1 << 30
PANIC = re.compile(r"panicked at|this is a bug in Assay|has overflowed its stack|memory allocation of")
# Words by which a run says that something in the store is not what it was.
TOLD = re.compile(r"damaged|made again|is no part of a store|changed while|not what it was", re.I)


class Outcome:
    """How a child process ended."""

    def __init__(self, code, out, err, seconds, rss, hung, scratch):
        self.code, self.out, self.err, self.seconds, self.rss, self.hung, self._scratch = code, out, err, seconds, rss, hung, scratch

    @property
    def panicked(self):
        return bool(PANIC.search(self.err)) or self.code in (101, 134, 139, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGILL)

    @property
    def told(self):
        return bool(TOLD.search(self.err))

    def last(self, length=160):
        """The last line of its messages; of a panic, the place and the reason."""
        lines = [line for line in self.err.replace("\x1b", "<ESC>").splitlines() if line.strip()]
        if self.panicked and lines:
            at = next((i for i, line in enumerate(lines) if PANIC.search(line)), 0)
            lines = [" / ".join(lines[at:at + 2])]
        return (lines[-1] if lines else "").replace(self._scratch, "…")[:length]


class Child:
    """A process of ours. What it writes goes to files, so that nothing can block."""

    def __init__(self, bench, args, env=None, cwd=None, memory=None, files=None, file_size=None, user=None, out=None, err=None, close=()):
        self.bench = bench
        self.out = out or tempfile.TemporaryFile(dir=bench.scratch)
        self.err = err or tempfile.TemporaryFile(dir=bench.scratch)
        limits = [(resource.RLIMIT_AS, memory), (resource.RLIMIT_NOFILE, files), (resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_CORE, 0)]

        def before():
            os.nice(10)
            # A shell in the background leaves these ignored.
            for what in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(what, signal.SIG_DFL)
            for what, limit in limits:
                if limit is not None:
                    resource.setrlimit(what, (limit, limit))
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            for descriptor in close:
                os.close(descriptor)

        surroundings = {k: v for k, v in os.environ.items() if k != "ASSAY_STORE"}
        for name, value in (env or {}).items():
            if value is None:
                surroundings.pop(name, None)
            else:
                surroundings[name] = value
        self.began = time.time()
        self.process = subprocess.Popen([os.fspath(a) for a in args], stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
                                        env=surroundings, cwd=cwd or bench.scratch, preexec_fn=before)
        self.rss, self.code = 0, None

    @property
    def pid(self):
        return self.process.pid

    def poll(self):
        if self.code is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
                self.rss = usage.ru_maxrss * 1024
        return self.code

    def signal(self, what):
        if self.poll() is None:
            os.kill(self.pid, what)

    def kill(self):
        self.signal(signal.SIGKILL)
        while self.poll() is None:
            time.sleep(0.001)

    def wait(self, timeout=180):
        end, delay = time.time() + timeout, 0.001
        while self.poll() is None and time.time() < end:
            time.sleep(delay)
            delay = min(delay * 1.3, 0.02)
        hung = self.code is None
        if hung:
            self.kill()

        def text(file):
            try:
                file.seek(0)
                return file.read(8 << 20).decode("utf-8", "replace")
            except (OSError, ValueError):
                return ""
        return Outcome(self.code, text(self.out), text(self.err), time.time() - self.began, self.rss, hung, self.bench.scratch)


class Tally:
    """What a fault counts: rounds, results that are missing, and numbers that are not true."""

    def __init__(self):
        self.rounds = self.lost = self.wrong = self.panics = 0
        self.notes = collections.Counter()

    def note(self, text, times=1):
        self.notes[text] += times

    def judge(self, outcome):
        """Counts a panic or a hang; says whether there was none."""
        if outcome.panicked:
            self.panics += 1
            self.lost += 1
            self.note(f"PANIC {outcome.last(120)}")
        elif outcome.hung:
            self.lost += 1
            self.note(f"HUNG {outcome.last(80)}")
        return not outcome.panicked and not outcome.hung

    def check(self, name, holds, outcome=None):
        """One round with a yes or no."""
        self.rounds += 1
        well = outcome is None or self.judge(outcome)
        if well and not holds:
            self.lost += 1
            self.note(f"FAILS {name}" + (f": exit {outcome.code} {outcome.last(120)}" if outcome else ""))
        return well and holds

    @property
    def bad(self):
        return bool(self.lost or self.wrong or self.panics)

    def text(self):
        return "; ".join(text if times == 1 else f"{text} ×{times}" for text, times in self.notes.items())


class Bench:
    """The binary, a folder to work in, and how much is to be tried."""

    def __init__(self, binary, scratch, experiments, scale, seed):
        self.binary, self.scratch = os.path.abspath(binary), os.path.abspath(scratch)
        self.experiments, self.scale, self.seed = os.path.abspath(experiments), scale, seed
        os.makedirs(self.scratch, exist_ok=True)
        self.few = os.path.join(self.experiments, "fewshot.ron")
        self.small = write(self.path("small.ron"), SMALL)
        self.linear = write(self.path("linear.ron"), LINEAR)
        self.train = write(self.path("train.ron"), TRAIN)
        self._expected = {}

    def random(self):
        return random.Random(self.seed)

    def times(self, n):
        return max(1, round(n * self.scale))

    def path(self, *parts):
        return os.path.join(self.scratch, *parts)

    def fresh(self, name):
        path = self.path(name)
        delete(path)
        return path

    def detail(self, **what):
        with open(self.path("details.jsonl"), "a") as file:
            file.write(json.dumps(what, default=str) + "\n")

    def child(self, args, **more):
        return Child(self, args, **more)

    def assay(self, *args, timeout=180, **more):
        return self.child([self.binary, *args], **more).wait(timeout)

    def run(self, file, store, *more, form="json", timeout=180, **how):
        return self.assay("run", file, "--store", store, "--format", form, *more, timeout=timeout, **how)

    def start(self, file, store, *more, **how):
        return self.child([self.binary, "run", file, "--store", store, "--format", "json", *more], **how)

    def expected(self, file):
        """Numbers, digests of artifacts and the store of an undisturbed run; made once."""
        if file not in self._expected:
            store = self.fresh("undisturbed-" + hashlib.sha256(file.encode()).hexdigest()[:8])
            ran = self.run(file, store)
            assert ran.code == 0, ran.err
            self._expected[file] = numbers(ran.out), outputs(store), store, ran.seconds
        return self._expected[file]

    def verify(self, store):
        """Number of damaged entries that `verify` finds; -1 when it does not answer."""
        found = self.assay("verify", "--store", store, "--format", "json")
        try:
            return len(json.loads(found.out)["damaged"])
        except (ValueError, KeyError):
            return -1


def delete(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.remove(path)


def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb" if isinstance(data, (bytes, bytearray)) else "w") as file:
        file.write(data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def rewrite(path, data, keep_time=True):
    """In place, with the time stamp of before."""
    times = os.stat(path)
    with open(path, "r+b") as file:
        file.write(data)
        file.truncate(len(data))
    if keep_time:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


# What a reader of results sees.

def cells(text):
    """Model, task and protocol of each cell, with its state and what it says; none when there is no table."""
    try:
        data = json.loads(text)
        return {(c["model"], c["task"], c["protocol"]): (c["state"], json.dumps([c.get("summary"), c.get("measures")], sort_keys=True)) for c in data["cells"]}
    except (ValueError, KeyError, TypeError):
        return None


def numbers(text):
    """The numbers of a table of which every cell is done; none otherwise."""
    found = cells(text)
    if not found or any(state != "done" for state, _ in found.values()):
        return None
    return {key: value for key, (_, value) in found.items()}


def some_wrong(text, expected):
    """Whether a cell that is done has another number than it should."""
    return any(state == "done" and value != expected.get(key) for key, (state, value) in (cells(text) or {}).items())


# A view into a store, for those who damage it.

class Entry:
    """One entry: where its parts are in its file, and its large files."""

    def __init__(self, path):
        self.path, self.kind = path, os.path.basename(os.path.dirname(os.path.dirname(path)))
        self.key = os.path.basename(path).split(".")[0]
        data = read(path)
        seal = data.index(b"\n")
        recipe = data.index(b"\n", seal + 1)
        provenance = data.index(b"\n", recipe + 1)
        self.recipe = data[seal + 1:recipe].decode()
        self.provenance = json.loads(data[recipe + 1:provenance])
        self.output = self.provenance["output"]
        self.parts = {"seal": (0, seal + 1), "recipe": (seal + 1, recipe + 1), "provenance": (recipe + 1, provenance + 1)}
        if provenance + 1 < len(data):
            self.parts["small files"] = (provenance + 1, len(data))
        folder = path[:-len("entry")] + self.output[:16]
        self.large = [os.path.join(folder, name) for name, record in self.provenance["files"].items() if record.get("apart")]

    def delete(self):
        os.remove(self.path)
        for file in self.large:
            shutil.rmtree(os.path.dirname(file), ignore_errors=True)


def entry_paths(store):
    return sorted(glob.glob(os.path.join(glob.escape(store), "steps", "*", "*", "*.entry")))


def entries(store):
    return [Entry(path) for path in entry_paths(store)]


def outputs(store):
    return {entry.key: entry.output for entry in entries(store)}


def readers(store):
    """For each key, the entries that were computed from it, directly or through others."""
    all_entries = entries(store)
    keys = {entry.key for entry in all_entries}
    direct = collections.defaultdict(set)
    for entry in all_entries:
        for key in set(re.findall(r"[0-9a-f]{64}", entry.recipe)) & keys:
            direct[key].add(entry.key)

    def closure(key, seen):
        for reader in direct[key] - seen:
            seen.add(reader)
            closure(reader, seen)
        return seen
    return {key: closure(key, set()) for key in keys}


def finished(store):
    """How often each step was finished, by the logs."""
    count = collections.Counter()
    for log in glob.glob(os.path.join(glob.escape(store), "runs", "*.jsonl")):
        with open(log, errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if event.get("event") == "finished":
                    count[event["key"]] += 1
    return count


def leftovers(store):
    """What is neither entry nor record, fact or log."""
    found = [os.path.join("work", name) for name in os.listdir(os.path.join(store, "work")) if name != "sweep.lock"]
    for top in ("content", "facts", "steps"):
        for folder, _, names in os.walk(os.path.join(store, top)):
            found += [os.path.relpath(os.path.join(folder, n), store) for n in names if n.startswith(".") or n.endswith(".tmp")]
    known = {os.path.dirname(file) for entry in entries(store) for file in entry.large}
    for folder in glob.glob(os.path.join(glob.escape(store), "steps", "*", "*", "*.*")):
        if os.path.isdir(folder) and folder not in known:
            found.append(os.path.relpath(folder, store))
    return found


def copy_store(of, to):
    """A copy whose files have their own inodes and old time stamps."""
    delete(to)
    shutil.copytree(of, to, symlinks=True)
    return to


# Images.

def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, rows, color=2, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def picture(rng, side=16, tone=None):
    """Noise on a colour."""
    tone = tone or [rng.randrange(256) for _ in range(3)]
    rows = bytearray()
    for _ in range(side):
        rows.append(0)
        rows += bytes((t * 2 + n) // 3 for t, n in zip(tone * side, rng.randbytes(side * 3)))
    return png(side, side, bytes(rows))


def folder_of_images(path, classes, each, side=16, seed=0):
    rng = random.Random(seed)
    tones = [[rng.randrange(60, 200) for _ in range(3)] for _ in range(classes)]
    for c in range(classes):
        for i in range(each):
            write(os.path.join(path, f"class{c:02}", f"{i:04}.png"), picture(rng, side, tones[c]))
    return path


# Experiments.

TINY = '''(
    tasks: { "t": (dataset: ImageFolder(root: "%s"), image: (size: 16, resize: Stretch)) },
    models: { "pixels": (backbone: Pixels) },
    protocols: { "f": FewShot(ways: 2, shots: 1, queries: 1, episodes: 20) },
)
'''

SMALL = '''(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 1, characters: 8, drawers: 60, seed: 2), image: (size: 28, resize: None, color: Grey)) },
    models: { "pixels": (backbone: Pixels, polarity: Inverted),
              "conv": (backbone: Conv4(channels: 1, width: 8), weights: Random(seed: 0), polarity: Inverted) },
    protocols: { "5w1s": FewShot(ways: 5, shots: 1, episodes: 100), "5w5s": FewShot(ways: 5, shots: 5, episodes: 100) },
)
'''

LINEAR = '''(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 1, characters: 8, drawers: 30, test_drawers: 10, seed: 2),
             image: (size: 28, resize: None, color: Grey)) },
    models: { "pixels": (backbone: Pixels, polarity: Inverted),
              "conv": (backbone: Conv4(channels: 1, width: 16), weights: Random(seed: 0), polarity: Inverted) },
    protocols: { "ridge": Linear(solver: Ridge, resamples: 50), "log": Linear(grid: Values([0.1, 1.0]), resamples: 50),
                 "centroid": Linear(solver: NearestCentroid, resamples: 50), "knn": Knn() },
)
'''

TRAIN = '''(
    tasks: { "learn": (dataset: Glyphs(alphabets: 1, characters: 10, drawers: 20, seed: 1), image: (size: 28, resize: None, color: Grey)),
             "test": (dataset: Glyphs(alphabets: 1, characters: 10, drawers: 20, seed: 3), image: (size: 28, resize: None, color: Grey)) },
    models: { "m": (backbone: Conv4(channels: 1, width: 8),
                    weights: Trained(method: Supervised, on: "learn", steps: 400, batch: 16, seed: 0), polarity: Inverted) },
    protocols: { "f": FewShot(ways: 5, shots: 1, episodes: 200) },
    evaluate: (tasks: "test"),
)
'''
