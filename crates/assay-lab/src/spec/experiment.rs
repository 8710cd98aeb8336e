//! An experiment file as typed values, checked as far as it can be without looking at data.

use std::path::{Path, PathBuf};

use assay_config::{
    Checker, Document, Entry, Environment, Override, Pattern, Patterns, Renamed, SourceSpan, UserPath, nearest,
};
use assay_data::HubCache;
use assay_nn::{Backbone, Checkpoint};
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::features::MODEL;
use super::{FeatureFiles, ModelSpec, TaskSpec, Weights, of_cell};

/// Sections of an experiment file.
const SECTIONS: [&str; 3] = ["models", "tasks", "protocols"];

/// Words that are read for one more version under the names that they used to have.
const RENAMED: [Renamed; 3] = [
    Renamed { section: "protocols", old: "profile", new: "convergence" },
    Renamed { section: "protocols", old: "SklearnPath", new: "WarmStartUnconverged" },
    Renamed { section: "protocols", old: "CodeCvTest", new: "TestCrossValidated" },
];

/// Fields of an experiment file besides its sections.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    /// Models, tasks and protocols that are evaluated. Default: those that the file itself defines.
    #[serde(default)]
    evaluate: Choice,
    /// Combinations that are left out. Default: none.
    #[serde(default)]
    exclude: Vec<Exclusion>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    #[serde(default)]
    models: Option<Patterns>,
    #[serde(default)]
    tasks: Option<Patterns>,
    #[serde(default)]
    protocols: Option<Patterns>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    #[serde(default)]
    model: Option<Patterns>,
    #[serde(default)]
    task: Option<Patterns>,
    #[serde(default)]
    protocol: Option<Patterns>,
}

/// One evaluation: names of a model, a task and a protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Model.
    pub model: String,
    /// Task.
    pub task: String,
    /// Protocol.
    pub protocol: String,
}

/// A file, decoded.
#[derive(Debug)]
pub struct Experiment {
    /// The file with its places and problems.
    pub document: Document,
    /// Models by name.
    pub models: IndexMap<String, ModelSpec>,
    /// Tasks by name.
    pub tasks: IndexMap<String, TaskSpec>,
    /// Evaluations, in order.
    pub cells: Vec<Cell>,
    /// The local cache of the Hugging Face hub, where the environment says that it is.
    pub hub: HubCache,
    /// Folder of what `torch.hub` has downloaded, where the environment says where that is.
    pub torch_hub: Option<PathBuf>,
    /// By section and name of entries that are evaluated: a file that is not there, and where to get it.
    missing: IndexMap<(String, String), String>,
}

impl Experiment {
    /// Reads and checks a file, with its protocols of type `P`. What is wrong is among `document.problems`; nothing else of
    /// the value may be used then. With `available`, files that are not there are no problem, see
    /// [`missing_of`](Self::missing_of).
    pub fn load<P: DeserializeOwned>(
        path: &Path,
        overrides: &[Override],
        environment: Environment,
        available: bool,
        check: impl Fn(&P, &Checker<'_>),
    ) -> (Self, IndexMap<String, P>) {
        let (hub, torch_hub) = (hub_cache(&environment), torch_hub(&environment));
        let document = Document::load_translated(path, &SECTIONS, overrides, environment, &RENAMED);
        let mut paths = IndexMap::new();
        let models: IndexMap<String, ModelSpec> = decode_section(&document, "models", &mut paths, ModelSpec::check);
        let tasks = decode_section(&document, "tasks", &mut paths, TaskSpec::check);
        let protocols = decode_section(&document, "protocols", &mut paths, check);
        let mut experiment =
            Self { document, models, tasks, cells: Vec::new(), hub, torch_hub, missing: IndexMap::new() };
        // A file that did not parse has no fields; what else would be said about it is noise.
        if let Some(rest) = experiment.document.decode_rest::<Rest>().filter(|rest| rest.is_sound) {
            experiment.cells = experiment.choose(&rest.value);
        }
        experiment.check_references();
        experiment.check_features();
        experiment.check_paths(&paths, available);
        (experiment, protocols)
    }

    /// Reads a file for its models and tasks alone; it need not evaluate anything, and what it names need not be there.
    pub fn load_catalogue(path: &Path, environment: Environment) -> Self {
        let (hub, torch_hub) = (hub_cache(&environment), torch_hub(&environment));
        let document = Document::load_translated(path, &SECTIONS, &[], environment, &RENAMED);
        let models = decode_section(&document, "models", &mut IndexMap::new(), ModelSpec::check);
        let tasks = decode_section(&document, "tasks", &mut IndexMap::new(), TaskSpec::check);
        Self { document, models, tasks, cells: Vec::new(), hub, torch_hub, missing: IndexMap::new() }
    }

    /// Notes that there is no such task, unless something else is wrong with the file.
    pub fn note_unknown_task(&self, name: &str) {
        if self.document.problems.is_empty() {
            let message = format!("{} has no task called {name:?}", self.document.path.display());
            self.document.problems.add_unplaced(message, suggestion(name, self.document.section("tasks")));
        }
    }

    fn choose(&self, rest: &Rest) -> Vec<Cell> {
        let chosen = [&rest.evaluate.models, &rest.evaluate.tasks, &rest.evaluate.protocols];
        let mut names =
            SECTIONS.iter().zip(chosen).map(|(section, patterns)| self.selected(section, patterns.as_ref()));
        let (models, tasks, protocols) =
            (names.next().unwrap_or_default(), names.next().unwrap_or_default(), names.next().unwrap_or_default());
        for (i, rule) in rest.exclude.iter().enumerate() {
            for (field, section, patterns) in [
                ("model", "models", &rule.model),
                ("task", "tasks", &rule.task),
                ("protocol", "protocols", &rule.protocol),
            ] {
                if let Some(patterns) = patterns {
                    self.check_patterns(section, patterns, &format!("exclude.{i}.{field}"));
                }
            }
            if rule.model.is_none() && rule.task.is_none() && rule.protocol.is_none() {
                self.problem(
                    &format!("exclude.{i}"),
                    "this rule names nothing, so it would exclude everything",
                    Some("give `model`, `task` or `protocol`".to_owned()),
                );
            }
        }
        let hits = |patterns: &Option<Patterns>, name: &str| patterns.as_ref().is_none_or(|p| p.matches(name));
        let mut cells = Vec::new();
        for model in &models {
            for task in &tasks {
                for protocol in &protocols {
                    let excluded = rest
                        .exclude
                        .iter()
                        .any(|r| hits(&r.model, model) && hits(&r.task, task) && hits(&r.protocol, protocol));
                    if !excluded {
                        cells.push(Cell { model: model.clone(), task: task.clone(), protocol: protocol.clone() });
                    }
                }
            }
        }
        if cells.is_empty() && self.document.problems.is_empty() {
            self.document.problems.add_unplaced(
                format!("{} evaluates nothing", self.document.path.display()),
                Some("it needs at least one model, one task and one protocol that `exclude` leaves over".to_owned()),
            );
        }
        cells
    }

    /// Names of a section that are evaluated: those chosen, else the file's own, else the included ones.
    fn selected(&self, section: &str, patterns: Option<&Patterns>) -> Vec<String> {
        let entries = self.document.section(section);
        match patterns {
            Some(patterns) => {
                self.check_patterns(section, patterns, &format!("evaluate.{section}"));
                entries.keys().filter(|name| patterns.matches(name)).cloned().collect()
            }
            None => {
                let own: Vec<_> = entries.iter().filter(|(_, e)| !e.included).map(|(n, _)| n.clone()).collect();
                if own.is_empty() { entries.keys().cloned().collect() } else { own }
            }
        }
    }

    fn check_patterns(&self, section: &str, patterns: &Patterns, path: &str) {
        let entries = self.document.section(section);
        let single = patterns.0.len() == 1;
        for (i, pattern) in patterns.0.iter().enumerate() {
            if !entries.keys().any(|name| pattern.matches(name)) {
                let path = if single { path.to_owned() } else { format!("{path}.{i}") };
                self.problem(&path, &unknown(section, pattern), suggestion(pattern.text(), entries));
            }
        }
    }

    fn problem(&self, path: &str, message: &str, help: Option<String>) {
        if let Some(place) = self.document.place(path) {
            self.document.problems.add(&place, message, "here", help);
        }
    }

    fn check_references(&self) {
        for (name, model) in &self.models {
            if let Some(Weights::Trained(trained)) = &model.weights
                && !self.document.section("tasks").contains_key(&trained.on)
            {
                let message = format!("there is no task called {:?}", trained.on);
                self.problem(
                    &format!("models.{}.weights.on", quote(name)),
                    &message,
                    suggestion(&trained.on, self.document.section("tasks")),
                );
            }
        }
    }

    /// Several models must not have the very same features: a table of them would say that they are equally good.
    fn check_features(&self) {
        for (name, task) in &self.tasks {
            if task.dataset.features().is_none_or(FeatureFiles::has_x_by_model) {
                continue;
            }
            let mut models: Vec<&str> = self
                .cells
                .iter()
                .filter(|cell| cell.task == *name && self.is_given(&cell.model))
                .map(|c| c.model.as_str())
                .collect();
            models.dedup();
            if let [one, other, ..] = models[..] {
                let message = format!(
                    "models {one:?} and {other:?} would have the same features: the files of task {name:?} are the same for all models"
                );
                let help = format!(
                    "write `{MODEL}` in the paths, which stands for the name of the model, or a task for each model, and `exclude` the other pairs"
                );
                self.problem(&format!("tasks.{}.dataset", quote(name)), &message, Some(help));
            }
        }
    }

    /// Tells whether a model has no network, and takes features that come with the task.
    pub fn is_given(&self, model: &str) -> bool {
        self.models.get(model).is_some_and(|model| model.backbone == Backbone::Given)
    }

    /// The name under which the samples of a task are known: with that of the model where models have files of their own.
    pub fn data_name(&self, task: &str, model: &str) -> String {
        let files = self.tasks.get(task).and_then(|task| task.dataset.features());
        if files.is_some_and(FeatureFiles::is_by_model) { format!("{task}\0{model}") } else { task.to_owned() }
    }

    /// The address that the files of an entry can be downloaded from, as far as it is known.
    fn where_to_get(&self, section: &str, name: &str) -> String {
        let url = match section {
            "models" => self.models.get(name).and_then(|model| model.about.url.clone()),
            "tasks" => {
                let official = self.tasks.get(name).and_then(|task| task.dataset.official());
                official.map(|(official, ..)| {
                    let source = official.info().source;
                    let file = self.document.path.display();
                    format!("{source}; `assay data check {name} --file {file}` says how the folder should look")
                })
            }
            _ => None,
        };
        match url {
            Some(url) => format!("to be had at {url}"),
            None => "paths are relative to the file that they are written in".to_owned(),
        }
    }

    /// The first file of an entry that is not there, where such files are no problem.
    pub fn missing_of(&self, section: &str, name: &str) -> Option<&str> {
        self.missing.get(&(section.to_owned(), name.to_owned())).map(String::as_str)
    }

    /// Files that the evaluated entries name must exist.
    fn check_paths(&mut self, paths: &Paths, available: bool) {
        let mut missing = IndexMap::new();
        // Section and name of an entry, and the model and the task that its paths are for.
        let mut used: Vec<(&str, &str, [&str; 2])> = Vec::new();
        for cell in &self.cells {
            let [model, task] = [cell.model.as_str(), cell.task.as_str()];
            used.extend([("models", model, ["", ""]), ("protocols", cell.protocol.as_str(), [model, task])]);
            match self.tasks.get(task).and_then(|task| task.dataset.features()) {
                Some(_) if self.is_given(model) => used.push(("tasks", task, [model, ""])),
                // What such a pair needs is told when it is planned.
                Some(_) => {}
                None => used.push(("tasks", task, ["", ""])),
            }
            if let Some(Weights::Trained(trained)) = self.models.get(model).and_then(|m| m.weights.as_ref()) {
                used.push(("tasks", &trained.on, ["", ""]));
            }
        }
        used.sort_unstable();
        used.dedup();
        for (section, name, [model, task]) in used {
            for (path, place) in paths.get(&(section.to_owned(), name.to_owned())).into_iter().flatten() {
                let path =
                    if model.is_empty() { path.clone() } else { of_cell(&UserPath(path.clone()), model, task).0 };
                // What cannot be made a path of has been told.
                // Shards with numbers in braces are looked for by their reader.
                let is_there = || path.to_string_lossy().contains('{') || Checkpoint::locate(&path).exists();
                if !self.document.problems.has_one_at(place) && !is_there() {
                    let message = format!("{} does not exist", path.display());
                    let source = self.where_to_get(section, name);
                    if available {
                        let why = format!("{message} ({source})");
                        let name = if section == "tasks" { self.data_name(name, model) } else { name.to_owned() };
                        missing.entry((section.to_owned(), name)).or_insert(why);
                    } else {
                        self.document.problems.add(place, message, "not found", Some(source));
                    }
                }
            }
        }
        self.missing = missing;
    }
}

/// The cache that the variables of the environment name.
fn hub_cache(environment: &Environment) -> HubCache {
    HubCache::from_variables(|name| environment.variables.get(name).cloned(), environment.home.as_deref())
}

/// Where `torch.hub` puts downloads with these variables: `hub/checkpoints` in `TORCH_HOME`, else in `torch` in `XDG_CACHE_HOME`,
/// else in `.cache/torch` of the home folder.
fn torch_hub(environment: &Environment) -> Option<PathBuf> {
    let variable = |name: &str| {
        let text = environment.variables.get(name).filter(|text| !text.is_empty())?;
        environment.resolve(text, Path::new("")).ok()
    };
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(environment.home.as_ref()?.join(".cache")));
    let home = variable("TORCH_HOME").or_else(|| Some(cache()?.join("torch")))?;
    Some(home.join("hub/checkpoints"))
}

/// A name as a part of a path.
pub fn quote(name: &str) -> String {
    if name.contains('.') { format!("{name:?}") } else { name.to_owned() }
}

fn unknown(section: &str, pattern: &Pattern) -> String {
    format!("nothing in {section} is called {:?}", pattern.text())
}

fn suggestion(word: &str, entries: &IndexMap<String, Entry>) -> Option<String> {
    Some(match nearest(word, entries.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None if entries.is_empty() => "none are defined".to_owned(),
        None => format!("there are: {}", entries.keys().cloned().collect::<Vec<_>>().join(", ")),
    })
}

type Paths = IndexMap<(String, String), Vec<(PathBuf, SourceSpan)>>;

fn decode_section<T: DeserializeOwned>(
    document: &Document,
    section: &str,
    paths: &mut Paths,
    check: impl Fn(&T, &Checker<'_>),
) -> IndexMap<String, T> {
    let mut decoded = IndexMap::new();
    for (name, entry) in document.section(section) {
        if let Some(value) = document.decode::<T>(entry) {
            let is_sound = value.is_sound;
            check(&value.value, &Checker::new(entry, &document.problems, is_sound));
            paths.insert((section.to_owned(), name.clone()), value.paths);
            if is_sound {
                decoded.insert(name.clone(), value.value);
            }
        }
    }
    decoded
}
