//! The engine on steps that do arithmetic: what runs, what does not, and what is left behind.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use assay_engine::{
    CancelToken, Claim, Committed, Context, Event, Executor, External, Facts, Holder, Json, Options, Output, Plan,
    Stamped, Step, StepStatus, Store, Summary, WrittenAt, explain,
};
use serde::Serialize;

/// Counts runs; lent to the steps.
#[derive(Default)]
struct Runtime {
    runs: AtomicUsize,
    pause_ms: u64,
}

#[derive(Serialize)]
struct Number {
    value: i64,
}

impl Step<Runtime> for Number {
    const KIND: &'static str = "number";
    const VERSION: u32 = 1;
    type Output = Json<i64>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<i64>> {
        context.runtime().runs.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(context.runtime().pause_ms));
        anyhow::ensure!(self.value != 13, "thirteen is refused");
        Ok(Json(self.value))
    }
}

/// Rounds its input towards zero to a multiple of `to`.
#[derive(Serialize)]
struct Round {
    input: Output<Json<i64>>,
    to: i64,
}

impl Step<Runtime> for Round {
    const KIND: &'static str = "round";
    const VERSION: u32 = 1;
    type Output = Json<i64>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<i64>> {
        context.runtime().runs.fetch_add(1, Ordering::SeqCst);
        let Json(input) = context.load(&self.input)?;
        Ok(Json(input / self.to * self.to))
    }
}

#[derive(Serialize)]
struct Sum {
    terms: Vec<Output<Json<i64>>>,
}

impl Step<Runtime> for Sum {
    const KIND: &'static str = "sum";
    const VERSION: u32 = 1;
    type Output = Json<i64>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<i64>> {
        context.runtime().runs.fetch_add(1, Ordering::SeqCst);
        let terms = self.terms.iter().map(|t| context.load(t).map(|Json(x)| x)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Json(terms.iter().sum()))
    }
}

#[derive(Serialize)]
struct FileLength {
    file: External<Stamped>,
}

impl Step<Runtime> for FileLength {
    const KIND: &'static str = "length";
    const VERSION: u32 = 1;
    type Output = Json<u64>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<u64>> {
        let path = &context.open(&self.file).files[0].0;
        let length = fs::metadata(path)?.len();
        if length == 5 {
            fs::write(path, "changed under our hands")?;
        }
        Ok(Json(length))
    }
}

fn options() -> Options {
    Options {
        jobs: 2,
        memory_bytes: None,
        devices: vec!["none".into()],
        keep_going: true,
        host: "test".into(),
        program: "test".into(),
        now_unix: || 0,
    }
}

fn run(plan: &Plan<Runtime>, store: &Store, runtime: &Runtime) -> (Summary, Vec<Event>) {
    let events = Mutex::new(Vec::new());
    let options = options();
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

/// round(a, to) + b
fn rounded_sum(a: i64, to: i64, b: i64) -> (Plan<Runtime>, Output<Json<i64>>) {
    let mut plan = Plan::default();
    let first = plan.add("a", Number { value: a }, vec![WrittenAt::new("", "numbers.a")]).unwrap();
    let rounded = plan.add("rounded", Round { input: first, to }, vec![WrittenAt::new("", "rounding")]).unwrap();
    let second = plan.add("b", Number { value: b }, vec![WrittenAt::new("", "numbers.b")]).unwrap();
    let sum = plan.add("sum", Sum { terms: vec![rounded, second] }, vec![]).unwrap();
    plan.want(&sum);
    (plan, sum)
}

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("cache")).unwrap()
}

#[test]
fn keys_are_pinned() {
    let (_, sum) = rounded_sum(17, 10, 5);
    assert_eq!(sum.key().to_string(), "ca6c54cc2b8cbf47dd29373e60514ed2a27c8de4047daea1807f7904d4cd1654");
}

#[test]
fn a_second_run_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, sum) = rounded_sum(17, 10, 5);
    assert_eq!(plan.survey(&store).unwrap(), [StepStatus::Run; 4]);
    let (first, _) = run(&plan, &store, &runtime);
    assert_eq!((first.ran, first.hits), (4, 0));
    assert_eq!(store.read(&sum).unwrap(), Json(15));
    let (second, _) = run(&plan, &store, &runtime);
    assert_eq!((second.ran, second.hits, runtime.runs.load(Ordering::SeqCst)), (0, 4, 4));
}

#[test]
fn equal_recipes_are_one_step() {
    let (plan, _) = rounded_sum(5, 10, 5);
    assert_eq!(plan.len(), 3);
}

#[test]
fn same_bytes_upstream_cut_the_rest_off() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    run(&rounded_sum(17, 10, 5).0, &store, &runtime);
    let (plan, sum) = rounded_sum(18, 10, 5);
    assert_eq!(
        plan.survey(&store).unwrap(),
        [StepStatus::Run, StepStatus::MaybeReusable, StepStatus::Hit, StepStatus::MaybeReusable]
    );
    let (summary, _) = run(&plan, &store, &runtime);
    // 18 is new, and so is its rounding; that comes out as 10 again, so the sum is taken.
    assert_eq!((summary.ran, summary.aliased), (2, 1));
    assert_eq!(store.read(&sum).unwrap(), Json(15));
    assert_eq!(run(&plan, &store, &runtime).0.hits, 4);
}

#[test]
fn inputs_that_nobody_needs_are_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, _) = rounded_sum(17, 10, 5);
    run(&plan, &store, &runtime);
    let number = plan.nodes().find(|n| n.label == "a").unwrap();
    fs::remove_file(file_of(&store, "number", number.key)).unwrap();
    assert_eq!(plan.survey(&store).unwrap()[0], StepStatus::Unneeded);
    assert_eq!(run(&plan, &store, &runtime).0.ran, 0);
}

#[test]
fn a_failure_skips_only_what_depends_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (mut plan, _) = rounded_sum(13, 10, 5);
    let other = plan.add("other", Number { value: 4 }, vec![]).unwrap();
    plan.want(&other);
    let (summary, events) = run(&plan, &store, &runtime);
    assert_eq!((summary.ran, summary.skipped.len(), summary.failed.len()), (2, 2, 1));
    assert_eq!(summary.failed[0].message, "thirteen is refused");
    let skipped = events.iter().filter(|e| matches!(e, Event::Skipped { because, .. } if because == "a")).count();
    assert_eq!(skipped, 2);
    assert_eq!(left_in_work(&store), Vec::<String>::new());
}

#[test]
fn two_executors_share_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime { pause_ms: 100, ..Runtime::default() });
    let total: usize = std::thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| run(&rounded_sum(17, 10, 5).0, &store, &runtime).0));
        runs.map(|r| r.join().unwrap()).iter().map(|s| s.ran).sum()
    });
    assert_eq!((total, runtime.runs.load(Ordering::SeqCst)), (4, 4));
}

#[test]
fn a_cancelled_run_stops_and_the_next_one_completes() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (plan, _) = rounded_sum(17, 10, 5);
    let cancel = CancelToken::default();
    let stop_at_first = |event: &Event| {
        if matches!(event, Event::Finished { .. }) {
            cancel.cancel();
        }
    };
    let options = Options { jobs: 1, ..options() };
    let first = Executor {
        plan: &plan,
        store: &store,
        runtime: &runtime,
        options: &options,
        events: &stop_at_first,
        headline: "length",
        found: &|_, _, _| {},
        cancel: &cancel,
    }
    .run()
    .unwrap();
    assert!(first.cancelled && first.ran >= 1 && first.ran < 4, "{first:?}");
    let (second, _) = run(&plan, &store, &runtime);
    assert_eq!(first.ran + second.ran, 4);
}

#[test]
fn a_file_that_moves_commits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let path = dir.path().join("outside");
    fs::write(&path, "12345").unwrap();
    let (stamp, digest) = Facts::open(store.facts_folder()).file_digest("t", &path).unwrap();
    let mut plan = Plan::default();
    let file = External::new(digest, Stamped { files: vec![(path, stamp)] }.into());
    let length = plan.add("length", FileLength { file }, vec![]).unwrap();
    plan.want(&length);
    let (summary, _) = run(&plan, &store, &runtime);
    assert!(summary.failed[0].message.contains("changed while it was in use"), "{summary:?}");
    assert!(store.entries().unwrap().is_empty());
}

#[test]
fn why_names_the_leaf() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (store(dir.path()), Runtime::default());
    let (old, before) = rounded_sum(17, 10, 5);
    run(&old, &store, &runtime);
    let (new, now) = rounded_sum(19, 10, 5);
    let found = explain::changes(&new, &store, "sum", before.key(), now.key()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].label.as_str(), found[0].part.as_str(), found[0].path.as_deref()),
        ("a", "/value", Some("numbers.a.value"))
    );
    assert_eq!((found[0].before.clone(), found[0].now.clone()), (Some(17.into()), Some(19.into())));
}

#[test]
fn an_entry_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (store(dir.path()), Store::open(&dir.path().join("other")).unwrap());
    let (plan, sum) = rounded_sum(17, 10, 5);
    run(&plan, &store, &Runtime::default());
    let holder = Holder { host: "test".into(), pid: 1, label: "again".into() };
    assert!(matches!(store.claim("sum", sum.key(), &holder).unwrap(), Claim::Present));
    // Somebody whose claim came before that commit, and whose lock did not keep others away.
    let Claim::Vacant(mut slot) = other.claim("sum", sum.key(), &holder).unwrap() else { panic!("it is not there") };
    fs::remove_dir_all(other.root().join("steps")).unwrap();
    copy(&store.root().join("steps"), &other.root().join("steps"));
    slot.files().put("value.json", b"99".to_vec()).unwrap();
    let there = store.entry("sum", sum.key()).unwrap().unwrap();
    let (committed, _) = slot.commit(there.recipe(), there.provenance.clone()).unwrap();
    assert!(matches!(committed, Committed::Differs { kept } if kept == there.provenance.output), "{committed:?}");
    assert_eq!(other.read(&sum).unwrap(), Json(15));
    assert_eq!(left_in_work(&other), Vec::<String>::new());
}

/// Where an entry is on disk.
fn file_of(store: &Store, kind: &str, key: assay_engine::StepKey) -> std::path::PathBuf {
    let key = key.to_string();
    store.root().join("steps").join(kind).join(&key[..2]).join(format!("{key}.entry"))
}

fn left_in_work(store: &Store) -> Vec<String> {
    let names = store.root().join("work").read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "sweep.lock").collect()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file, target).unwrap();
    }
}
