//! From an experiment to a plan.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use assay_config::{Document, Environment, Override, Problem};
use assay_data::{Color, ImageSpec, Manifest};
use assay_engine::{Facts, Leaf, Origin, Output, Plan, Step, Store};
use assay_nn::Tap;

use crate::data::TaskData;
use crate::experiment::{Cell, Experiment, quote};
use crate::metric::Metric;
use crate::model::{Method, ModelSpec, TrainedWeights, Weights};
use crate::protocol::Scores;
use crate::steps::{
    EpisodeList, ExtractShard, Features, ModelRecipe, TrainBackbone, TrainRecipe, WeightsArtifact, WeightsRecipe,
};
use crate::weights::{CheckpointPlace, FileFacts, audit};
use crate::world::World;

/// Precision of all arithmetic so far.
const NUMERIC: &str = "f32";

/// An experiment without problems.
pub struct Lab {
    experiment: Experiment,
}

/// An experiment as a plan.
pub struct Planned {
    /// The steps.
    pub plan: Plan<World>,
    /// What is evaluated, and where its scores will be.
    pub cells: Vec<(Cell, Output<Scores>)>,
    /// Weights that are trained, by the name of their model.
    pub trained: Vec<(String, Output<WeightsArtifact>)>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The file, to find places in.
    pub document: Document,
}

/// Something that can only be known once data and weights have been looked at.
pub(crate) struct PlanError {
    /// Path in the experiment.
    path: String,
    message: String,
    help: Option<String>,
}

impl Lab {
    /// Reads an experiment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, overrides: &[Override], environment: Environment) -> Result<Self, Vec<Problem>> {
        let experiment = Experiment::load(path, overrides, environment);
        if experiment.document.problems.is_empty() {
            Ok(Self { experiment })
        } else {
            Err(experiment.document.problems.into_list())
        }
    }

    /// What is evaluated.
    pub fn cells(&self) -> &[Cell] {
        &self.experiment.cells
    }

    /// Looks at the data and the weights and makes a plan. Only facts are written to the store.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn plan(self, store: &Store) -> Result<Planned, Vec<Problem>> {
        let facts = Facts::open(store.facts_folder());
        let mut planner = Planner::new(&self.experiment, &facts);
        let mut cells = Vec::new();
        planner.share_features();
        for cell in &self.experiment.cells {
            match planner.cell(cell) {
                Ok(scores) => cells.push((cell.clone(), scores)),
                Err(error) => planner.note(error),
            }
        }
        planner.plan.want_all(cells.iter().map(|(_, scores)| scores));
        let Planner { plan, weights, mut warnings, .. } = planner;
        if let Err(error) = facts.save() {
            warnings
                .push(format!("what was learnt of the files could not be kept ({error}); they will be hashed again"));
        }
        let mut trained: Vec<_> = weights
            .into_iter()
            .filter_map(|(name, ready)| if let Ready::Trained(output) = ready { Some((name, output)) } else { None })
            .collect();
        trained.sort_by(|a, b| a.0.cmp(&b.0));
        let document = self.experiment.document;
        if document.problems.is_empty() {
            Ok(Planned { plan, cells, trained, warnings, document })
        } else {
            Err(document.problems.into_list())
        }
    }
}

/// Weights of a model, ready to be named in recipes.
#[derive(Clone)]
enum Ready {
    None,
    Random(u64),
    File(FileFacts),
    Trained(Output<WeightsArtifact>),
}

struct Planner<'a> {
    experiment: &'a Experiment,
    facts: &'a Facts,
    plan: Plan<World>,
    /// By the dataset and what is used of it, so that tasks that differ in preprocessing alone share it.
    data: HashMap<String, Option<Arc<TaskData>>>,
    weights: HashMap<String, Ready>,
    features: HashMap<(String, String), Vec<Output<Features>>>,
    /// By task and protocol: the same for every model.
    episodes: HashMap<(String, String), Output<EpisodeList>>,
    warnings: Vec<String>,
}

impl<'a> Planner<'a> {
    fn new(experiment: &'a Experiment, facts: &'a Facts) -> Self {
        Self {
            experiment,
            facts,
            plan: Plan::default(),
            data: HashMap::new(),
            weights: HashMap::new(),
            features: HashMap::new(),
            episodes: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    fn note(&self, error: PlanError) {
        let problems = &self.experiment.document.problems;
        if error.message.is_empty() {
            return;
        }
        match self.experiment.document.place(&error.path) {
            Some(place) => problems.add(&place, error.message, "here", error.help),
            None => problems.add_unplaced(error.message, error.help),
        }
    }

    fn cell(&mut self, cell: &Cell) -> Result<Output<Scores>, PlanError> {
        let experiment = self.experiment;
        let data = self.task_data(&cell.task)?;
        let protocol = &experiment.protocols[&cell.protocol];
        protocol.inner().plan(&mut CellPlan { planner: self, cell, data })
    }

    fn task_data(&mut self, name: &str) -> Result<Arc<TaskData>, PlanError> {
        let task = &self.experiment.tasks[name];
        let same = format!("{:?} {:?} {:?}", task.dataset, task.subset, task.on_bad_image);
        if let Some(known) = self.data.get(&same) {
            // A dataset that could not be read has been noted once.
            return known.clone().ok_or_else(|| PlanError { path: String::new(), message: String::new(), help: None });
        }
        match TaskData::load(task, self.facts) {
            Ok(data) => {
                if !data.skipped.is_empty() {
                    let some: Vec<_> = data.skipped.iter().take(5).map(String::as_str).collect();
                    self.warnings.push(format!(
                        "task {name:?}: {} images cannot be decoded and are left out: {}",
                        data.skipped.len(),
                        some.join(", ")
                    ));
                }
                let notes = data.manifest.notes.iter().chain(&data.repeated);
                self.warnings.extend(notes.map(|note| format!("task {name:?}: {note}")));
                let data = Arc::new(data);
                self.data.insert(same, Some(Arc::clone(&data)));
                Ok(data)
            }
            Err(error) => {
                self.data.insert(same, None);
                Err(PlanError {
                    path: format!("tasks.{}.dataset", quote(name)),
                    message: format!("{error:#}"),
                    help: None,
                })
            }
        }
    }

    fn add<S: Step<World>>(
        &mut self,
        label: String,
        step: S,
        origins: Vec<Origin>,
    ) -> Result<Output<S::Output>, PlanError> {
        self.plan.add(label, step, origins).map_err(|error| PlanError {
            path: String::new(),
            message: error.to_string(),
            help: None,
        })
    }

    fn weights(&mut self, name: &str) -> Result<Ready, PlanError> {
        if let Some(ready) = self.weights.get(name) {
            return Ok(ready.clone());
        }
        let model = &self.experiment.models[name];
        let ready = match &model.weights {
            None => Ready::None,
            Some(Weights::Random { seed }) => Ready::Random(*seed),
            Some(Weights::File(file)) => {
                Ready::File(audit(file, &model.backbone, self.facts).map_err(|problem| PlanError {
                    path: format!("models.{}.weights.path", quote(name)),
                    message: problem.message,
                    help: problem.help,
                })?)
            }
            Some(Weights::Trained(trained)) => Ready::Trained(self.train(name, model, trained)?),
        };
        self.weights.insert(name.to_owned(), ready.clone());
        Ok(ready)
    }

    fn train(
        &mut self,
        name: &str,
        model: &ModelSpec,
        trained: &TrainedWeights,
    ) -> Result<Output<WeightsArtifact>, PlanError> {
        let at = format!("models.{}", quote(name));
        let data = self.task_data(&trained.on)?;
        let task = &self.experiment.tasks[&trained.on];
        let image = task.image();
        fits(model, image.color, image.crop_px).map_err(|message| PlanError {
            path: format!("{at}.weights.on"),
            message,
            help: None,
        })?;
        if data.manifest.samples.len() < trained.batch as usize {
            let message = format!(
                "a batch of {} cannot be drawn from the {} images of {:?}",
                trained.batch,
                data.manifest.samples.len(),
                trained.on
            );
            return Err(PlanError { path: format!("{at}.weights.batch"), message, help: None });
        }
        if data.manifest.is_multi_label() && matches!(trained.method, Method::Supervised) {
            let message = format!("the images of {:?} show several classes, and training needs one each", trained.on);
            return Err(PlanError { path: format!("{at}.weights.on"), message, help: None });
        }
        let method = match &trained.method {
            Method::Supervised => TrainRecipe::Supervised,
            Method::SimClr(m) => TrainRecipe::SimClr { temperature: m.temperature, projection: m.projection },
        };
        let step = TrainBackbone {
            backbone: model.backbone.clone(),
            input: model.input(),
            image,
            manifest: Leaf::new(data.digest, data),
            method,
            steps: trained.steps,
            batch: trained.batch,
            lr: trained.lr,
            weight_decay: trained.weight_decay,
            seed: trained.seed,
            views: trained.views.clone(),
            numeric: NUMERIC,
        };
        let task = format!("tasks.{}", quote(&trained.on));
        let origins = vec![
            Origin::new("", format!("{at}.weights")),
            Origin::new("/backbone", format!("{at}.backbone")),
            Origin::new("/input", at.clone()),
            Origin::new("/image", format!("{task}.image")),
            Origin::new("/manifest", format!("{task}.dataset")),
        ];
        self.add(format!("train/{name}"), step, origins)
    }

    /// Adds the features that several evaluations need, so that steps on the same images follow each other: what one has
    /// decoded is then there for the next. What cannot be planned is left to its evaluation, which tells why.
    fn share_features(&mut self) {
        let experiment = self.experiment;
        let mut groups: Vec<(Arc<TaskData>, Vec<Extraction>)> = Vec::new();
        let mut seen = HashSet::new();
        for cell in &experiment.cells {
            if !seen.insert((&cell.model, &cell.task)) {
                continue;
            }
            let data = match self.task_data(&cell.task) {
                Ok(data) => data,
                Err(error) => {
                    self.note(error);
                    continue;
                }
            };
            let Ok(extraction) = self.extraction(&cell.model, &cell.task) else { continue };
            match groups.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &data)) {
                Some((_, extractions)) => extractions.push(extraction),
                None => groups.push((data, vec![extraction])),
            }
        }
        for (data, mut extractions) in groups.into_iter().filter(|(_, extractions)| extractions.len() > 1) {
            extractions.iter_mut().for_each(|e| e.shares_pictures = true);
            let mut outputs = vec![Vec::new(); extractions.len()];
            for index in 0..data.shards.len() {
                for (extraction, outputs) in extractions.iter().zip(&mut outputs) {
                    outputs.extend(self.add_shard(extraction, &data, index));
                }
            }
            for (extraction, outputs) in extractions.into_iter().zip(outputs) {
                if outputs.len() == data.shards.len() {
                    self.features.insert(extraction.names, outputs);
                }
            }
        }
    }

    fn features(&mut self, model: &str, task: &str, data: &Arc<TaskData>) -> Result<Vec<Output<Features>>, PlanError> {
        let names = (model.to_owned(), task.to_owned());
        if let Some(outputs) = self.features.get(&names) {
            return Ok(outputs.clone());
        }
        let extraction = self.extraction(model, task)?;
        let outputs =
            (0..data.shards.len()).map(|i| self.add_shard(&extraction, data, i)).collect::<Result<Vec<_>, _>>()?;
        self.features.insert(names, outputs.clone());
        Ok(outputs)
    }

    fn extraction(&mut self, model_name: &str, task_name: &str) -> Result<Extraction, PlanError> {
        let (model, task) = (&self.experiment.models[model_name], &self.experiment.tasks[task_name]);
        let image = task.image();
        let (at_model, at_task) = (format!("models.{}", quote(model_name)), format!("tasks.{}", quote(task_name)));
        fits(model, image.color, image.crop_px).map_err(|message| PlanError {
            path: format!("{at_task}.image"),
            message: format!("model {model_name:?} cannot be used on task {task_name:?}: {message}"),
            help: Some("change `image`, or leave the pair out with `exclude`".to_owned()),
        })?;
        let weights = match self.weights(model_name)? {
            Ready::None => WeightsRecipe::None,
            Ready::Random(seed) => WeightsRecipe::Random(seed),
            Ready::File(facts) => WeightsRecipe::Tensors(facts.backbone),
            Ready::Trained(output) => WeightsRecipe::Trained(output),
        };
        let origins = vec![
            Origin::new("", at_model.clone()),
            Origin::new("/model", at_model),
            Origin::new("/image", format!("{at_task}.image")),
            Origin::new("/images", format!("{at_task}.dataset")),
        ];
        Ok(Extraction {
            names: (model_name.to_owned(), task_name.to_owned()),
            model: ModelRecipe {
                backbone: model.backbone.clone(),
                weights,
                input: model.input(),
                tap: model.tap().unwrap_or(Tap::END),
            },
            image,
            origins,
            shares_pictures: false,
        })
    }

    fn add_shard(
        &mut self,
        extraction: &Extraction,
        data: &TaskData,
        index: usize,
    ) -> Result<Output<Features>, PlanError> {
        let step = ExtractShard {
            model: extraction.model.clone(),
            image: extraction.image.clone(),
            images: data.shards[index].clone(),
            count: data.shard_len(index),
            shares_pictures: extraction.shares_pictures,
            numeric: NUMERIC,
        };
        let (model, task) = &extraction.names;
        self.add(format!("features/{model}/{task}/{}", index + 1), step, extraction.origins.clone())
    }
}

/// What the features of one model on one task are made with.
struct Extraction {
    /// Names of the model and the task.
    names: (String, String),
    model: ModelRecipe,
    image: ImageSpec,
    origins: Vec<Origin>,
    /// Whether other steps need the same images.
    shares_pictures: bool,
}

/// Whether a model can take images of this kind.
fn fits(model: &ModelSpec, color: Color, side: u32) -> Result<(), String> {
    let channels = color.channels();
    let backbone = &model.backbone;
    if let Some(wanted) = backbone.channels().filter(|wanted| *wanted != channels) {
        let name = backbone.name();
        let color = if wanted == 1 { "Grey" } else { "Rgb" };
        return Err(format!(
            "its {name} takes {wanted} channels, and images have {channels}: `color: {color}` gives what it wants"
        ));
    }
    let least = backbone.least_side();
    if (side as usize) < least {
        return Err(format!(
            "its {} needs images of at least {least}×{least} pixels, and these have {side}×{side}",
            backbone.name()
        ));
    }
    let given = model.input().mean.len();
    if given > 0 && given != channels {
        return Err(format!("its normalisation is for {given} channels, and images have {channels}"));
    }
    Ok(())
}

/// What a protocol may ask for while it plans one evaluation.
pub(crate) struct CellPlan<'p, 'a> {
    planner: &'p mut Planner<'a>,
    cell: &'p Cell,
    data: Arc<TaskData>,
}

impl CellPlan<'_, '_> {
    /// Names of the model, the task and the protocol.
    pub fn names(&self) -> &Cell {
        self.cell
    }

    /// The samples of the task.
    pub fn data(&self) -> &Manifest {
        &self.data.manifest
    }

    /// The samples as an input of a step.
    pub fn manifest(&self) -> Leaf<TaskData> {
        Leaf::new(self.data.digest, Arc::clone(&self.data))
    }

    /// The features of all images of the task.
    pub fn features(&mut self) -> Result<Vec<Output<Features>>, PlanError> {
        self.planner.features(&self.cell.model, &self.cell.task, &self.data)
    }

    /// The features of these samples, by index: the pieces that their images are in.
    pub fn features_of(&mut self, samples: &[u32]) -> Result<Vec<Output<Features>>, PlanError> {
        let all = self.features()?;
        Ok(self.data.shards_of(samples).into_iter().map(|piece| all[piece as usize]).collect())
    }

    /// What the task is judged by.
    pub fn metric(&self) -> Result<Metric, PlanError> {
        let is_multi_label = self.data.manifest.is_multi_label();
        let default = if is_multi_label { Metric::MeanAp11 } else { Metric::Top1 };
        let metric = self.planner.experiment.tasks[&self.cell.task].metric.unwrap_or(default);
        if metric.is_of_marks() == is_multi_label {
            return Ok(metric);
        }
        let (these, fitting) = if is_multi_label {
            ("show several classes", "`MeanAp11`, `MeanAp11Kit` or `MeanAp`")
        } else {
            ("show one class each", "`Top1` or `MeanPerClass`")
        };
        Err(PlanError {
            path: format!("tasks.{}.metric", quote(&self.cell.task)),
            message: format!("`{metric:?}` does not fit: the images of task {:?} {these}", self.cell.task),
            help: Some(format!("use {fitting}, or leave it out")),
        })
    }

    /// Refuses a task whose images show several classes.
    pub fn expect_one_class_each(&self) -> Result<(), PlanError> {
        if self.data.manifest.is_multi_label() {
            let protocol = &self.cell.protocol;
            return Err(
                self.task_error(format!("{protocol:?} is for images of one class each, and these show several"))
            );
        }
        Ok(())
    }

    /// The episodes of this protocol on this task, which `plan` adds the first time; no model is asked others.
    pub fn episodes(
        &mut self,
        plan: impl FnOnce(&mut Self) -> Result<Output<EpisodeList>, PlanError>,
    ) -> Result<Output<EpisodeList>, PlanError> {
        let name = (self.cell.task.clone(), self.cell.protocol.clone());
        if let Some(known) = self.planner.episodes.get(&name) {
            return Ok(*known);
        }
        let episodes = plan(self)?;
        self.planner.episodes.insert(name, episodes);
        Ok(episodes)
    }

    /// The checkpoint with its classifier, and the classifier's name.
    pub fn head(&mut self) -> Result<(Leaf<CheckpointPlace>, &'static str), PlanError> {
        let model = &self.cell.model;
        let spec = &self.planner.experiment.models[model];
        if spec.tap().is_ok_and(|tap| !tap.is_end()) {
            return Err(PlanError {
                path: format!("models.{}", quote(model)),
                message: format!(
                    "protocol {:?} needs the features that the classifier was trained on, and model {model:?} has those of \
                     another `layer` or `pool`",
                    self.cell.protocol
                ),
                help: Some("leave the pair out with `exclude`".to_owned()),
            });
        }
        let layer = spec.backbone.classifier();
        let found = match self.planner.weights(model)? {
            Ready::File(facts) => facts.with_head,
            _ => None,
        };
        found.zip(layer).ok_or_else(|| PlanError {
            path: format!("models.{}.weights", quote(model)),
            message: format!(
                "protocol {:?} needs weights from a file with a classifier, and model {model:?} has none",
                self.cell.protocol
            ),
            help: Some("leave the pair out with `exclude`".to_owned()),
        })
    }

    /// Adds a step of the protocol's own.
    pub fn add<S: Step<World>>(&mut self, label: String, step: S) -> Result<Output<S::Output>, PlanError> {
        let protocol = format!("protocols.{}", quote(&self.cell.protocol));
        let task = format!("tasks.{}", quote(&self.cell.task));
        let origins = vec![
            Origin::new("", protocol.clone()),
            Origin::new("/rule", protocol),
            Origin::new("/manifest", format!("{task}.dataset")),
            Origin::new("/fit", format!("{task}.dataset")),
            Origin::new("/choose", format!("{task}.dataset")),
            Origin::new("/test", format!("{task}.dataset")),
            Origin::new("/metric", task),
        ];
        self.planner.plan.add(label, step, origins).map_err(|error| self.protocol_error("", error.to_string()))
    }

    /// Adds the step that ends in scores.
    pub fn add_scores<S: Step<World, Output = Scores>>(&mut self, step: S) -> Result<Output<Scores>, PlanError> {
        let Cell { model, task, protocol } = self.cell;
        self.add(format!("score/{model}/{task}/{protocol}"), step)
    }

    /// The protocol does not fit the task.
    pub fn protocol_error(&self, field: &str, message: String) -> PlanError {
        let dot = if field.is_empty() { "" } else { "." };
        let path = format!("protocols.{}{dot}{field}", quote(&self.cell.protocol));
        PlanError { path, message: format!("on task {:?}: {message}", self.cell.task), help: None }
    }

    /// The task does not fit the protocol.
    pub fn task_error(&self, message: String) -> PlanError {
        PlanError {
            path: format!("tasks.{}.dataset", quote(&self.cell.task)),
            message,
            help: Some("leave the pair out with `exclude`".to_owned()),
        }
    }
}
