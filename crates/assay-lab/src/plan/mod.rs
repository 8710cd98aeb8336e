//! From models and tasks to steps: what protocols ask for, made once for all that need it.

mod cell;
mod error;

pub(crate) use cell::{CellPlan, Protocol};
pub(crate) use error::PlanError;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use assay_data::{Color, ImageSpec};
use assay_engine::{External, Facts, Output, Plan, Step, WrittenAt};
use assay_nn::FeaturePoint;

use crate::outside::{FileFacts, TaskData, audit};
use crate::results::Scores;
use crate::spec::{Cell, Experiment, Method, ModelSpec, TrainedWeights, Weights, quote};
use crate::steps::{
    ExtractShard, Features, ModelRecipe, Runtime, TrainBackbone, TrainRecipe, WeightsArtifact, WeightsRecipe,
};

/// Precision of all arithmetic so far.
const NUMERIC: &str = "f32";

/// Weights of a model, ready to be named in recipes.
#[derive(Clone)]
enum Ready {
    None,
    Random(u64),
    File(FileFacts),
    Trained(Output<WeightsArtifact>),
}

pub(crate) struct Planner<'a> {
    experiment: &'a Experiment,
    facts: &'a Facts,
    pub plan: Plan<Runtime>,
    /// By the dataset and what is used of it, so that tasks that differ in preprocessing alone share it.
    data: HashMap<String, Option<Arc<TaskData>>>,
    weights: HashMap<String, Ready>,
    features: HashMap<(String, String), Vec<Output<Features>>>,
    /// Steps that are the same for every model, by task and protocol.
    shared: HashMap<(String, String), Box<dyn Any>>,
    warnings: Vec<String>,
}

impl<'a> Planner<'a> {
    pub fn new(experiment: &'a Experiment, facts: &'a Facts) -> Self {
        Self {
            experiment,
            facts,
            plan: Plan::default(),
            data: HashMap::new(),
            weights: HashMap::new(),
            features: HashMap::new(),
            shared: HashMap::new(),
            warnings: Vec::new(),
        }
    }

    pub fn note(&self, error: PlanError) {
        let problems = &self.experiment.document.problems;
        if error.message.is_empty() {
            return;
        }
        match self.experiment.document.place(&error.path) {
            Some(place) => problems.add(&place, error.message, "here", error.help),
            None => problems.add_unplaced(error.message, error.help),
        }
    }

    pub fn cell(&mut self, cell: &Cell, protocol: &dyn Protocol) -> Result<Output<Scores>, PlanError> {
        let data = self.task_data(&cell.task)?;
        protocol.plan(&mut CellPlan::new(self, cell, data))
    }

    /// The plan, weights that are trained by the name of their model, and what a person should know.
    pub fn finish(self) -> (Plan<Runtime>, Vec<(String, Output<WeightsArtifact>)>, Vec<String>) {
        let of = |(name, ready)| if let Ready::Trained(output) = ready { Some((name, output)) } else { None };
        let mut trained: Vec<_> = self.weights.into_iter().filter_map(of).collect();
        trained.sort_by(|a, b| a.0.cmp(&b.0));
        (self.plan, trained, self.warnings)
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

    fn add<S: Step<Runtime>>(
        &mut self,
        label: String,
        step: S,
        written_at: Vec<WrittenAt>,
    ) -> Result<Output<S::Output>, PlanError> {
        self.plan.add(label, step, written_at).map_err(|error| PlanError {
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
        fits(model, image.color, image.crop_px.width).map_err(|message| PlanError {
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
            manifest: External::new(data.digest, data),
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
        let written_at = vec![
            WrittenAt::new("", format!("{at}.weights")),
            WrittenAt::new("/backbone", format!("{at}.backbone")),
            WrittenAt::new("/input", at.clone()),
            WrittenAt::new("/image", format!("{task}.image")),
            WrittenAt::new("/manifest", format!("{task}.dataset")),
        ];
        self.add(format!("train/{name}"), step, written_at)
    }

    /// Adds the features that several evaluations need, so that steps on the same images follow each other: what one has
    /// decoded is then there for the next. What cannot be planned is left to its evaluation, which tells why.
    pub fn share_features(&mut self) {
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
        fits(model, image.color, image.crop_px.width).map_err(|message| PlanError {
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
        let written_at = vec![
            WrittenAt::new("", at_model.clone()),
            WrittenAt::new("/model", at_model),
            WrittenAt::new("/image", format!("{at_task}.image")),
            WrittenAt::new("/images", format!("{at_task}.dataset")),
        ];
        Ok(Extraction {
            names: (model_name.to_owned(), task_name.to_owned()),
            model: ModelRecipe {
                backbone: model.backbone.clone(),
                weights,
                input: model.input(),
                point: model.point().unwrap_or(FeaturePoint::END),
            },
            image,
            written_at,
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
        self.add(format!("features/{model}/{task}/{}", index + 1), step, extraction.written_at.clone())
    }
}

/// What the features of one model on one task are made with.
struct Extraction {
    /// Names of the model and the task.
    names: (String, String),
    model: ModelRecipe,
    image: ImageSpec,
    written_at: Vec<WrittenAt>,
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
    let least = backbone.min_image_size();
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
