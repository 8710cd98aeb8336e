//! The store under damage, beside collections, and when there is no more room.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use assay_engine::{
    Artifact, ArtifactFiles, CancelToken, Committed, Context, Event, Executor, Needs, Options, Output, Plan, Step,
    StepKey, Store, Summary, Threads, Tier, gc, verify,
};
use serde::Serialize;

/// What steps do besides their work.
#[derive(Default)]
struct Runtime {
    /// Labels of the steps that ran.
    ran: Mutex<Vec<String>>,
    pause: Duration,
    computing: AtomicUsize,
    most_computing: AtomicUsize,
}

/// Some bytes, small or large.
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Artifact for Blob {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        files.put("length", self.0.len().to_string().into_bytes())?;
        files.put("bytes", self.0.clone())
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        Ok(Self(files.get("bytes")?.into_owned()))
    }
}

/// `size` bytes that begin with `seed`.
#[derive(Serialize)]
struct Make {
    seed: u8,
    size: usize,
}

impl Step<Runtime> for Make {
    const KIND: &'static str = "make";
    const VERSION: u32 = 1;
    type Output = Blob;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Blob> {
        context.runtime().begin(context, format!("make {}", self.seed));
        anyhow::ensure!(self.seed != 13, "thirteen is refused");
        if self.seed == 28 {
            return Err(anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull)).context("writing /store/x"));
        }
        if self.seed == 7 {
            context.warn("seven is odd");
        }
        Ok(Blob((0..self.size).map(|i| self.seed.wrapping_add(i as u8)).collect()))
    }
}

/// The inputs, one after the other.
#[derive(Serialize)]
struct Join {
    parts: Vec<Output<Blob>>,
    all_threads: bool,
}

impl Step<Runtime> for Join {
    const KIND: &'static str = "join";
    const VERSION: u32 = 1;
    type Output = Blob;

    fn needs(&self) -> Needs {
        Needs { threads: if self.all_threads { Threads::All } else { Threads::One }, ..Needs::default() }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Blob> {
        context.runtime().begin(context, "join".to_owned());
        let parts = self.parts.iter().map(|part| Ok(context.load(part)?.0)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Blob(parts.concat()))
    }
}

impl Runtime {
    fn begin(&self, context: &Context<'_, Self>, name: String) {
        let computing = self.computing.fetch_add(context.threads(), Ordering::SeqCst) + context.threads();
        self.most_computing.fetch_max(computing, Ordering::SeqCst);
        std::thread::sleep(self.pause);
        self.computing.fetch_sub(context.threads(), Ordering::SeqCst);
        self.ran.lock().unwrap().push(name);
    }

    fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }
}

fn run(plan: &Plan<Runtime>, store: &Store, runtime: &Runtime) -> (Summary, Vec<Event>) {
    let events = Mutex::new(Vec::new());
    let options = Options {
        jobs: 3,
        memory_bytes: None,
        devices: vec![],
        keep_going: true,
        host: "test".into(),
        program: "test".into(),
        now_unix: || 0,
    };
    let listen = |event: &Event| events.lock().unwrap().push(event.clone());
    let cancel = CancelToken::default();
    let summary = Executor {
        plan,
        store,
        runtime,
        options: &options,
        events: &listen,
        headline: "length",
        found: &|_, _, _| {},
        cancel: &cancel,
    }
    .run()
    .unwrap();
    (summary, events.into_inner().unwrap())
}

/// join(join(a, b), c), of parts of this size
fn joined(seeds: [u8; 3], size: usize) -> (Plan<Runtime>, Output<Blob>) {
    let mut plan = Plan::default();
    let mut make = |seed: u8| plan.add(format!("make {seed}"), Make { seed, size }, vec![]).unwrap();
    let [a, b, c] = seeds.map(&mut make);
    let two = plan.add("two", Join { parts: vec![a, b], all_threads: false }, vec![]).unwrap();
    let all = plan.add("all", Join { parts: vec![two, c], all_threads: true }, vec![]).unwrap();
    plan.want(&all);
    (plan, all)
}

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("cache")).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).unwrap();
}

fn damage_in(store: &Store) -> usize {
    store.entries().unwrap().iter().filter(|(kind, key)| verify::entry(store, kind, *key).is_some()).count()
}

/// Whether anything still lies where results are made.
fn is_tidy(store: &Store) -> bool {
    store.root().join("work").read_dir().unwrap().all(|e| e.unwrap().file_name() == "sweep.lock")
}

#[test]
fn every_flipped_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (plan, _) = joined([1, 2, 7], 40_000);
    run(&plan, &store, &Runtime::default());
    let steps = files(&store.root().join("steps"));
    assert_eq!(steps.len(), 7, "five entries, two of them with a large file");
    for path in steps {
        let whole = fs::read(&path).unwrap();
        let every = if whole.len() > 20_000 { 1009 } else { 1 };
        for at in (0..whole.len()).step_by(every).chain([whole.len() - 1]) {
            flip(&path, at);
            assert_eq!(damage_in(&store), 1, "byte {at} of {}", path.display());
            flip(&path, at);
        }
        for bytes in [&b""[..], &whole[..whole.len() / 2], &[&whole[..], b"x"].concat()] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(damage_in(&store), 1, "{} bytes of {}", bytes.len(), path.display());
        }
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(damage_in(&store), 0);
}

#[test]
fn what_is_damaged_is_made_again_by_the_run_that_meets_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, all) = joined([1, 2, 3], 40_000);
    run(&plan, &store, &runtime);
    let right = store.read(&all).unwrap();
    runtime.ran();
    let two = plan.nodes().find(|n| n.label == "two").unwrap().key;
    for path in files(&store.root().join("steps")) {
        let is_wanted = path.to_string_lossy().contains(&all.key().to_string());
        for third in 0..3 {
            // Not always the same: the provenance holds how long the step took.
            let size = fs::metadata(&path).unwrap().len() as usize;
            let at = [0, size / 3, size - 1][third];
            flip(&path, at);
            // Asks for it anew, so that it is read.
            let (summary, events) = if is_wanted {
                run(&plan, &store, &runtime)
            } else {
                remove(&store, "join", all.key());
                remove(&store, "join", two);
                run(&plan, &store, &runtime)
            };
            assert!(summary.failed.is_empty() && summary.skipped.is_empty(), "{}: {summary:?}", path.display());
            let told = events.iter().any(|e| matches!(e, Event::Damaged(d) if d.file.exists() || !d.what.is_empty()));
            let was_removed = path.to_string_lossy().contains(&two.to_string());
            // A large file of a wanted result is not read by a run that finds it, unless its size has changed.
            let is_large = size > 64_000;
            assert!(told || was_removed || (is_wanted && is_large), "byte {at} of {}", path.display());
            if is_wanted && is_large {
                assert!(store.read(&all).is_err());
                remove(&store, "join", all.key());
                run(&plan, &store, &runtime);
            }
            assert_eq!(store.read(&all).unwrap(), right);
            assert_eq!(damage_in(&store), 0, "byte {at} of {}", path.display());
        }
    }
    gc::sweep(&store, &plan.nodes().map(|n| n.key).collect()).unwrap();
    assert!(is_tidy(&store), "what was set aside is gone");
}

fn remove(store: &Store, kind: &str, key: StepKey) {
    let key = key.to_string();
    let folder = store.root().join("steps").join(kind).join(&key[..2]);
    for path in files(&folder) {
        if path.to_string_lossy().contains(&key) {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn inputs_of_a_damaged_input_are_made_again_where_they_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, all) = joined([1, 2, 3], 10);
    run(&plan, &store, &runtime);
    runtime.ran();
    let key = |label: &str| plan.nodes().find(|n| n.label == label).unwrap().key;
    remove(&store, "join", all.key());
    remove(&store, "make", key("make 1"));
    let two = key("two").to_string();
    let two = store.root().join("steps/join").join(&two[..2]).join(format!("{two}.entry"));
    flip(&two, 200);
    let (summary, events) = run(&plan, &store, &runtime);
    assert_eq!((summary.damaged, summary.ran, summary.failed.len()), (1, 3, 0), "{summary:?}");
    assert_eq!(runtime.ran(), ["join", "join", "make 1"]);
    let damaged: Vec<_> =
        events.iter().filter_map(|e| if let Event::Damaged(d) = e { Some(d) } else { None }).collect();
    assert_eq!((damaged.len(), &damaged[0].file), (1, &two));
    // An input that cannot be made again takes along what needs it, and nothing else.
    let (mut plan, bad) = joined([1, 2, 13], 10);
    let (other, _) = (plan.add("other", Make { seed: 99, size: 1 }, vec![]).unwrap(), bad);
    plan.want(&other);
    let (summary, _) = run(&plan, &store, &runtime);
    assert_eq!((summary.ran, summary.failed.len(), summary.skipped.len()), (1, 1, 1));
}

#[test]
fn foreign_files_are_named_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, all) = joined([1, 2, 3], 10);
    run(&plan, &store, &runtime);
    let key = all.key().to_string();
    let steps = store.root().join("steps");
    let prefix = steps.join("join").join(&key[..2]);
    for foreign in
        [steps.join(".DS_Store"), steps.join("join/.DS_Store"), prefix.join("x"), store.root().join("content/y")]
    {
        fs::write(foreign, "").unwrap();
    }
    let outdated = prefix.join(&key);
    fs::create_dir(&outdated).unwrap();
    let entry = prefix.join(format!("{key}.entry"));
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    let listing = store.list().unwrap();
    assert_eq!((listing.entries.len(), listing.foreign.len(), listing.outdated.len()), (5, 4, 1), "{listing:?}");
    assert_eq!(damage_in(&store), 1, "an entry that is a folder");
    let (summary, _) = run(&plan, &store, &runtime);
    assert_eq!((summary.damaged, summary.failed.len()), (1, 0), "{summary:?}");
    assert_eq!(damage_in(&store), 0);
    let garbage = gc::sweep(&store, &plan.nodes().map(|n| n.key).collect()).unwrap();
    assert_eq!((garbage.entries.len(), garbage.foreign.len(), garbage.kept), (0, 4, 5));
    assert!(!outdated.exists() && is_tidy(&store));
}

#[test]
fn a_collection_keeps_what_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    run(&joined([1, 2, 3], 100_000).0, &store, &runtime);
    let (plan, _) = joined([1, 2, 4], 100_000);
    run(&plan, &store, &runtime);
    let live: HashSet<_> = plan.nodes().map(|n| n.key).collect();
    let left = store.root().join("facts/clock.-1-2-3.tmp");
    fs::write(&left, "").unwrap();
    let found = gc::find(&store, &live).unwrap();
    let garbage = gc::sweep(&store, &live).unwrap();
    assert_eq!((garbage.entries.len(), garbage.kept, &garbage.entries), (2, 5, &found.entries));
    assert_eq!(garbage.entries.iter().map(|e| e.2).sum::<u64>(), 100_006 + 300_006);
    assert!(found.work == [left.clone()] && !left.exists());
    assert_eq!(store.entries().unwrap().len(), 5);
    assert_eq!(files(&store.root().join("steps")).len(), 10, "the large files of the others are gone");
    assert_eq!(fs::metadata(store.root().join("content/join.records")).unwrap().len(), 2 * 112);
    assert_eq!(gc::sweep(&store, &live).unwrap().entries.len(), 0);
}

#[test]
fn a_collection_takes_nothing_from_a_run_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let runtime = Runtime { pause: Duration::from_millis(2), ..Runtime::default() };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut taken = 0;
            while !is_done.load(Ordering::SeqCst) {
                taken += gc::sweep(&store, &HashSet::new()).unwrap().entries.len();
                // Locks are not fair: who takes one again at once keeps the others waiting.
                std::thread::sleep(Duration::from_millis(1));
            }
            taken
        });
        let went_wrong = (30..60).find_map(|seed| {
            let (summary, events) = run(&joined([1, 2, seed], 70_000).0, &store, &runtime);
            (!summary.failed.is_empty() || summary.damaged > 0).then(|| format!("{summary:?} {events:?}"))
        });
        is_done.store(true, Ordering::SeqCst);
        assert_eq!(went_wrong, None);
        assert!(collector.join().unwrap() > 0, "it took what no run needs any more");
    });
    gc::sweep(&store, &HashSet::new()).unwrap();
    assert!(store.entries().unwrap().is_empty() && is_tidy(&store));
}

#[test]
fn a_full_disk_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime { pause: Duration::from_millis(5), ..Runtime::default() });
    let mut plan = Plan::default();
    for seed in 28..90 {
        let output = plan.add(format!("make {seed}"), Make { seed, size: 1 }, vec![]).unwrap();
        plan.want(&output);
    }
    let (summary, _) = run(&plan, &store, &runtime);
    assert!(summary.stopped.as_ref().is_some_and(|why| why.contains("writing /store/x")), "{summary:?}");
    assert!(summary.ran < 10, "nothing more is begun: {summary:?}");
}

#[test]
fn warnings_are_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, all) = joined([1, 7, 3], 10);
    for _ in 0..2 {
        let (_, events) = run(&plan, &store, &runtime);
        let told = events.iter().filter(
            |e| matches!(e, Event::Warning { label, message } if label == "make 7" && message == "seven is odd"),
        );
        assert_eq!(told.count(), 1, "{events:?}");
    }
    assert_eq!(store.warnings("join", all.key()).unwrap().len(), 1, "through two steps that said nothing themselves");
}

#[test]
fn a_record_without_proof_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, all) = joined([1, 2, 3], 10);
    run(&plan, &store, &runtime);
    let right = store.read(&all).unwrap();
    // Every record names the other step.
    let records = store.root().join("content/join.records");
    let bytes = fs::read(&records).unwrap();
    let (first, second) = bytes.split_at(112);
    let swapped: Vec<u8> = [(first, second), (second, first)]
        .iter()
        .flat_map(|(of, key)| {
            let fields = [&of[..64], &key[64..96]].concat();
            let check = assay_engine::Digest::of(&fields).as_bytes()[..16].to_vec();
            [fields, check].concat()
        })
        .collect();
    fs::write(&records, swapped).unwrap();
    let store = Store::open(store.root()).unwrap();
    remove(&store, "join", all.key());
    let (summary, _) = run(&plan, &store, &runtime);
    assert_eq!((summary.ran, summary.aliased), (1, 0));
    assert_eq!(store.read(&all).unwrap(), right);
}

#[derive(Serialize)]
struct Resumes {}

impl Step<Runtime> for Resumes {
    const KIND: &'static str = "resumes";
    const VERSION: u32 = 1;
    type Output = Blob;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Blob> {
        let scratch = context.scratch()?;
        match scratch.load("state") {
            Some(state) => Ok(Blob(state)),
            None => {
                scratch.save("state", b"half")?;
                anyhow::bail!("interrupted")
            }
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let mut plan = Plan::default();
    let output = plan.add("resumes", Resumes {}, vec![]).unwrap();
    plan.want(&output);
    assert_eq!(run(&plan, &store, &runtime).0.failed.len(), 1);
    let state = store.root().join("work").join(format!("{}.resume/state", output.key()));
    for at in 0..fs::metadata(&state).unwrap().len() as usize {
        flip(&state, at);
        let (summary, events) = run(&plan, &store, &runtime);
        assert_eq!(summary.failed.len(), 1, "byte {at} was believed");
        assert!(events.iter().any(|e| matches!(e, Event::Damaged(d) if d.file == state)), "{events:?}");
    }
    assert_eq!(run(&plan, &store, &runtime).0.ran, 1);
    assert_eq!(store.read(&output).unwrap(), Blob(b"half".to_vec()));
    assert!(is_tidy(&store));
}

#[test]
fn threads_are_not_promised_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let runtime = Runtime { pause: Duration::from_millis(3), ..Runtime::default() };
    let mut plan = Plan::default();
    let parts: Vec<_> = (100..112).map(|seed| plan.add("make", Make { seed, size: 1 }, vec![]).unwrap()).collect();
    for pair in parts.chunks(2) {
        let output = plan.add("join", Join { parts: pair.to_vec(), all_threads: true }, vec![]).unwrap();
        plan.want(&output);
    }
    let (summary, _) = run(&plan, &store, &runtime);
    assert_eq!((summary.ran, runtime.most_computing.load(Ordering::SeqCst)), (18, 3));
}

#[test]
fn entries_go_from_store_to_store() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (store(dir.path()), Store::open(&dir.path().join("there")).unwrap());
    let (plan, all) = joined([1, 2, 7], 70_000);
    run(&plan, &here, &Runtime::default());
    let keys: Vec<_> = plan.nodes().map(|n| (n.kind, n.key)).collect();
    assert_eq!(there.missing(&keys).unwrap(), [true; 5]);
    for (kind, key) in &keys {
        assert_eq!(there.push(kind, *key, &here).unwrap(), Some(Committed::New));
        assert_eq!(there.push(kind, *key, &here).unwrap(), Some(Committed::Same));
    }
    assert_eq!(there.missing(&keys).unwrap(), [false; 5]);
    assert_eq!(there.read(&all).unwrap(), here.read(&all).unwrap());
    assert_eq!(damage_in(&there), 0);
    let steps = files(&here.root().join("steps"));
    flip(steps.iter().find(|p| p.extension().is_none()).unwrap(), 10);
    let again = Store::open(&dir.path().join("again")).unwrap();
    let pushed: Vec<_> = keys.iter().filter(|(kind, key)| again.push(kind, *key, &here).is_ok()).collect();
    assert_eq!(pushed.len(), 4, "what is damaged does not travel");
}

#[test]
fn a_tiny_step_is_one_small_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut plan = Plan::default();
    let part = plan.add("part", Make { seed: 1, size: 100 }, vec![]).unwrap();
    for parts in 1..200 {
        let output = plan.add("join", Join { parts: vec![part; parts], all_threads: false }, vec![]).unwrap();
        plan.want(&output);
    }
    run(&plan, &store, &Runtime::default());
    let all = files(store.root());
    let steps = all.iter().filter(|path| path.starts_with(store.root().join("steps"))).count();
    assert_eq!((steps, all.len() - steps), (200, 3), "besides the records, the tag and the lock");
}

/// Something that is neither a file nor a folder of a store: a folder, a link that leads nowhere or to itself, a pipe.
#[cfg(unix)]
fn put_odd(path: &Path, what: &str) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap()
    } else {
        let _ = fs::remove_file(path);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match what {
        "file" => fs::write(path, "odd").unwrap(),
        "folder" => fs::create_dir_all(path.join("inside")).unwrap(),
        "link" => std::os::unix::fs::symlink("nowhere", path).unwrap(),
        "loop" => std::os::unix::fs::symlink(path, path).unwrap(),
        _ => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
    }
}

#[cfg(unix)]
#[test]
fn odd_things_are_told_passed_over_and_healed() {
    let (_, all) = joined([1, 2, 3], 30_000);
    let key = all.key().to_string();
    let prefix = format!("steps/join/{}", &key[..2]);
    let table = &assay_engine::Digest::of(b"files of the store").to_string()[..32];
    let files = ["folder", "link", "loop", "pipe"];
    let folders = ["file", "link", "loop", "pipe"];
    // Where, what, and whether the result must be made again.
    let places = [
        (format!("{prefix}/{key}.entry"), files, true),
        (prefix, folders, true),
        ("steps/join".to_owned(), folders, true),
        (format!("work/{key}.lease"), files, true),
        ("content/join.records".to_owned(), files, false),
        ("work/host-1-2.live".to_owned(), files, false),
        ("work/sweep.lock".to_owned(), files, false),
        (format!("facts/{table}.files"), files, false),
    ];
    for (place, whats, is_made_again) in &places {
        for what in whats {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path());
            let (plan, all) = joined([1, 2, 3], 30_000);
            run(&plan, &store, &Runtime::default());
            if place.ends_with(".lease") || place.ends_with(".records") {
                remove(&store, "join", all.key());
            }
            let path = store.root().join(place);
            put_odd(&path, what);
            // Who only looks goes on, and names it.
            let store = Store::open(store.root()).unwrap();
            let is_named = store.list().unwrap().foreign.contains(&path) || damage_in(&store) == 1;
            assert!(is_named, "{what} at {place}");
            gc::find(&store, &HashSet::new()).unwrap();
            assert!(plan.survey(&store).is_ok() && store.in_progress().is_ok());
            let (summary, events) = run(&plan, &store, &Runtime::default());
            assert!(summary.failed.is_empty() && summary.skipped.is_empty(), "{what} at {place}: {summary:?}");
            assert_eq!(summary.ran + summary.aliased > 0, *is_made_again || place.ends_with(".records"), "{place}");
            let told = events.iter().any(|e| matches!(e, Event::Moved { path: p, .. } if *p == path))
                || events.iter().any(|e| matches!(e, Event::Damaged(d) if d.file == path));
            // Only what is in the way is moved.
            let is_used = !place.ends_with(".live") && !place.ends_with(".files");
            assert_eq!(told, is_used, "{what} at {place}: {events:?}");
            assert_eq!(store.read(&all).unwrap().0.len(), 90_000);
            assert!(run(&plan, &store, &Runtime::default()).0.ran == 0, "{what} at {place} stays");
            gc::sweep(&store, &plan.nodes().map(|n| n.key).collect()).unwrap();
            assert_eq!(damage_in(&store), 0);
        }
    }
}
