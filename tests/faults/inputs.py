"""Inputs that change while they are used, or between two runs with the time stamp and the size that they had."""

import glob
import mmap
import os
import shutil
import signal
import time

from bench import Tally, cells, folder_of_images, numbers, picture, png, read, rewrite, write

IMAGES = '''(
    tasks: { "t": (dataset: ImageFolder(root: "images"), image: (size: 32, resize: Stretch)) },
    models: { %s },
    protocols: { "f": FewShot(ways: 5, shots: 1, episodes: 200) },
)
'''
SLOW = '"slow": (backbone: Conv4(channels: 3, width: 64), weights: Random(seed: 1))'
FROM_FILE = '"file": (backbone: Conv4(channels: 1), weights: File(path: "weights/used.safetensors"), polarity: Inverted)'
GREY = (IMAGES % ('"slow": (backbone: Conv4(channels: 1), weights: Random(seed: 1)), ' + FROM_FILE)).replace(
    "size: 32, resize: Stretch", "size: 28, resize: Stretch, color: Grey")
TRAINED = (IMAGES % '"m": (backbone: Conv4(channels: 3, width: 8), weights: Trained(method: Supervised, on: "big", steps: 60, batch: 16, seed: 0))').replace(
    "tasks: {", 'tasks: { "big": (dataset: ImageFolder(root: "big"), image: (size: 32, resize: Stretch)), ').replace(
    "protocols", 'evaluate: (tasks: "t"), protocols')
TWICE = (IMAGES % (SLOW + ', "other": (backbone: Conv4(channels: 3, width: 8), weights: Random(seed: 2))')).replace(
    "tasks: {", 'tasks: { "copy": (dataset: ImageFolder(root: "copy"), image: (size: 32, resize: Stretch)), ')


def stop_at(store, text, child, timeout=60):
    """Stops the child as soon as its log holds `text`; false when it ended before."""
    end = time.time() + timeout
    while time.time() < end:
        for log in glob.glob(os.path.join(glob.escape(store), "runs", f"*-{child.pid}.jsonl")):
            if text in read(log).decode(errors="replace"):
                child.signal(signal.SIGSTOP)
                return child.poll() is None
        if child.poll() is not None:
            return False
        time.sleep(0.0005)
    return False


class Changes:
    """Changes inputs of one experiment and compares what later runs give with what a run on a new store gives."""

    def __init__(self, bench, tally, file):
        self.bench, self.tally, self.file = bench, tally, file
        self.store = bench.fresh("changed-store")

    def during(self, why, change, until='"event":"planned"'):
        """Changes inputs while a run is stopped. That run itself must not give what a run on either state would not give."""
        before = numbers(self.bench.run(self.file, self.bench.fresh("changed-before")).out)
        child = self.bench.start(self.file, self.store)
        stopped = stop_at(self.store, until, child)
        if stopped:
            change()
            child.signal(signal.SIGCONT)
        else:
            self.tally.note(f"{why}: not stopped in time")
        ran = child.wait(180)
        self.tally.judge(ran)
        after = numbers(self.bench.run(self.file, self.bench.fresh("changed-after")).out)
        if stopped and ran.code == 0 and numbers(ran.out) not in (before, after):
            self.tally.wrong += 1
            self.tally.note(f"STALE {why}: the run itself mixed old and new, exit 0")
        said = "not what it was" in ran.err or "changed while" in ran.err
        for key, (state, value) in (cells(ran.out) or {}).items():
            if state == "done" and before and after and value not in (before[key], after[key]):
                self.tally.wrong += 1
                self.tally.note(f"STALE {why}: cell {'/'.join(key)} mixes old and new, exit {ran.code}")
        print(f"    {why}: exit {ran.code}, {'told' if said else 'NOT told'}", flush=True)
        self.bench.detail(fault="changed_inputs", why=why, stopped=stopped, code=ran.code, told=said, message=ran.err[-700:])
        return said

    def later(self, why):
        """A run on the store must give what a run on a new store gives."""
        ran = self.bench.run(self.file, self.store)
        new = self.bench.run(self.file, self.bench.fresh("changed-new"))
        self.tally.rounds += 1
        self.tally.judge(ran)
        same = numbers(ran.out) == numbers(new.out)
        if numbers(ran.out) is None or ran.code:
            self.tally.lost += 1
            self.tally.note(f"LOST {why}: exit {ran.code} {ran.last(120)}")
        elif not same:
            self.tally.wrong += 1
            self.tally.note(f"STALE {why}")
        damaged = self.bench.verify(self.store)
        if damaged:
            self.tally.lost += 1
            self.tally.note(f"{why}: verify finds {damaged} damaged")
        print(f"    {why}: {'right' if same else 'STALE OR LOST'}", flush=True)
        self.bench.detail(fault="changed_inputs", why=why, same=same, code=ran.code, now=ran.out, new=new.out, message=ran.last())


def images_of(folder):
    return sorted(glob.glob(os.path.join(folder, "*", "*.png")))


def with_new(paths, rng, side=32):
    """Rewrites pictures under their time stamps; returns how to put the old ones back."""
    old = {path: read(path) for path in paths}
    for path in paths:
        rewrite(path, picture(rng, side, [rng.randrange(256) for _ in range(3)]))
    return lambda: [rewrite(path, data) for path, data in old.items()]


def of_the_same_size(path, rng):
    """Another picture in as many bytes."""
    size, other = os.path.getsize(path), picture(rng, 32)
    while len(other) > size:
        other = png(32, 32, b"".join(b"\0" + bytes([rng.randrange(256)]) * 96 for _ in range(32)))
    rewrite(path, other + bytes(size - len(other)))


def images(bench, tally, root, rng):
    folder_of_images(os.path.join(root, "images"), 6, 250, side=32, seed=1)
    all_images, undo = images_of(os.path.join(root, "images")), []
    changes = Changes(bench, tally, write(os.path.join(root, "images.ron"), IMAGES % SLOW))
    time.sleep(1.2)
    changes.during("images rewritten between plan and extraction", lambda: undo.append(with_new(all_images[-200:], rng)))
    changes.later("… with the new images")
    for put_back in undo:
        put_back()
    changes.later("… with the old images put back")
    undo.clear()
    changes.store = bench.fresh("changed-store")
    changes.during("images rewritten after some shards", lambda: undo.append(with_new(all_images, rng)), '"event":"finished"')
    changes.later("… with the new images")
    for put_back in undo:
        put_back()
    changes.later("… put back")
    for i in range(3):
        for path in all_images[100:160]:
            of_the_same_size(path, rng)
        changes.later(f"same size and time, at once after a run ({i + 1})")
    gone = all_images[-1]
    changes.store = bench.fresh("changed-store")
    kept = read(gone)
    changes.during("an image deleted between plan and extraction", lambda: os.remove(gone))
    write(gone, kept)
    changes.later("… put back")
    changes.store = bench.fresh("changed-store")
    changes.during("an image cut off between plan and extraction", lambda: rewrite(gone, kept[:len(kept) // 2]))
    rewrite(gone, kept)
    changes.later("… put back")


def weights(bench, tally, root, rng):
    used = os.path.join(root, "weights", "used.safetensors")
    one, two = (read(os.path.join(bench.experiments, "weights", n)) for n in ("conv4-simclr.safetensors", "conv4-supervised.safetensors"))
    write(used, one)
    changes = Changes(bench, tally, write(os.path.join(root, "weights.ron"), GREY))
    time.sleep(1.2)
    for until, name in (('"event":"planned"', "between plan and extraction"), ('"event":"finished"', "after some shards")):
        changes.store = bench.fresh("changed-store")
        changes.during(f"weights rewritten {name}", lambda: rewrite(used, two), until)
        changes.later("… with the new weights")
        rewrite(used, one)
        changes.later("… with the old weights put back")
    changes.store = bench.fresh("changed-store")
    other = write(used + ".new", two)
    changes.during("weights replaced by a renamed file", lambda: os.replace(other, used))
    write(used, one)
    changes.later("… put back")
    # A file that a program has mapped: the kernel does not stamp a page that is dirty already.
    with open(used, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
        mapped[:] = one
        time.sleep(1.2)
        mapped[:] = one
        changes.store = bench.fresh("changed-store")
        if len(two) == len(one):
            changes.during("weights rewritten through a mapping that was dirty before", lambda: mapped.__setitem__(slice(None), two))
        mapped[:] = one
        mapped.flush()
        mapped.close()
    changes.later("… put back")


def training_images(bench, tally, root, rng):
    folder_of_images(os.path.join(root, "big"), 6, 120, side=160, seed=2)
    big, undo = images_of(os.path.join(root, "big")), []
    changes = Changes(bench, tally, write(os.path.join(root, "trained.ron"), TRAINED))
    time.sleep(1.2)
    changes.during("training images rewritten between plan and training", lambda: undo.append(with_new(big[-360:], rng, 160)), '"kind":"weights"')
    for put_back in undo:
        put_back()
    changes.later("… with the old training images put back")


def shared_pictures(bench, tally, root, rng):
    shutil.copytree(os.path.join(root, "images"), os.path.join(root, "copy"))
    write(os.path.join(root, "copy", "class00", "more.png"), picture(rng, 32))
    changes, undo = Changes(bench, tally, write(os.path.join(root, "twice.ron"), TWICE)), []
    time.sleep(1.2)
    late = images_of(os.path.join(root, "copy"))[10:250]
    changes.during("one of two copies of the images rewritten", lambda: undo.append(with_new(late, rng)))
    changes.later("… the copy that nobody touched")
    for put_back in undo:
        put_back()
    changes.later("… put back")


def changed_inputs(bench):
    """Images, weights, training images, shared pictures and mapped files that change between plan and use, or between runs."""
    tally, rng, root = Tally(), bench.random(), bench.fresh("changed")
    for part in (images, weights, training_images, shared_pictures):
        part(bench, tally, root, rng)
    return tally
