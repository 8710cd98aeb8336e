//! Inputs of evaluations: the samples of a task, weights, features.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use assay_data::{Color, HubCache, ImageSpec, RepoKind, Split};
use assay_engine::Output;
use assay_nn::{Backbone, Checkpoint, FeaturePoint, ImageSize, InputSpec, Unsaid};

use super::{PRECISION, PlanError, Planner};
use crate::outside::{FileFacts, LabelledImages, TaskData, audit};
use crate::spec::{Cell, FileWeights, HubWeights, Method, ModelSpec, TrainedWeights, Weights};
use crate::steps::{
    Arithmetic, ExtractShard, Features, ModelRecipe, Names, ReadFeatures, TrainBackbone, TrainRecipe, WeightsArtifact,
    WeightsRecipe, WrittenIn,
};

/// Weights of a model, ready to be named in recipes.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "one a model")]
pub(super) enum Ready {
    None,
    Random(u64),
    /// With the backbone, of which nothing is left open.
    File(FileFacts, Backbone),
    Trained(Output<WeightsArtifact>),
}

impl From<Ready> for WeightsRecipe {
    fn from(ready: Ready) -> Self {
        match ready {
            Ready::None => Self::None,
            Ready::Random(seed) => Self::Random(seed),
            Ready::File(facts, _) => Self::Tensors(facts.backbone),
            Ready::Trained(output) => Self::Trained(output),
        }
    }
}

impl Planner<'_> {
    /// Refuses features without a model that takes them, and a model that takes features without them.
    pub(super) fn fits_features(&self, cell: &Cell) -> Result<(), PlanError> {
        let Cell { model, task, .. } = cell;
        let names = Names { model, task, ..Names::default() };
        let has_features = self.experiment.tasks[task].dataset.features().is_some();
        let (at, message) = match (self.experiment.is_given(model), has_features) {
            (true, false) => {
                (WrittenIn::Backbone, format!("model {model:?} is `Given`, and task {task:?} has images, no features"))
            }
            (false, true) => (
                WrittenIn::Dataset,
                format!("task {task:?} has features, no images, and model {model:?} is not `Given`"),
            ),
            _ => return Ok(()),
        };
        let help = "leave the pair out with `exclude`";
        Err(PlanError::impossible(names.path(at), message, Some(help.to_owned())))
    }

    /// The samples of a task, as a model has them.
    pub(super) fn task_data(&mut self, task_name: &str, model: &str) -> Result<Arc<TaskData>, PlanError> {
        let name = &self.experiment.data_name(task_name, model);
        if let Some(data) = self.tasks.get(name) {
            return Ok(Arc::clone(data));
        }
        let mut task = self.experiment.tasks[task_name].clone();
        task.dataset = task.dataset.for_model(model);
        let task = &task;
        let same = format!("{:?} {:?} {:?} {:?}", task.dataset, task.classes, task.subset, task.on_bad_image);
        if let Some(known) = self.data.get(&same) {
            let known = known.clone();
            self.tasks.extend(known.as_ref().ok().map(|data| (name.to_owned(), Arc::clone(data))));
            return known;
        }
        let at = Names { task: task_name, ..Names::default() }.path(WrittenIn::Dataset);
        let loaded = match self.experiment.missing_of("tasks", name) {
            Some(missing) => Err(PlanError::unavailable(at, missing)),
            None => TaskData::load(task, self.facts, &self.experiment.hub)
                .map(Arc::new)
                .map_err(|error| PlanError::unavailable(at, format!("{error:#}"))),
        };
        if let Ok(data) = &loaded {
            self.warnings.extend(data.warnings().iter().map(|warning| format!("task {task_name:?}: {warning}")));
            self.notes.extend(data.manifest.origin.iter().map(|origin| format!("task {task_name:?}: {origin}")));
        }
        self.tasks.extend(loaded.as_ref().ok().map(|data| (name.to_owned(), Arc::clone(data))));
        self.data.insert(same, loaded.clone());
        loaded
    }

    /// The weights of a model.
    pub(super) fn weights(&mut self, name: &str) -> Result<Ready, PlanError> {
        if let Some(known) = self.weights.get(name) {
            return known.clone();
        }
        let ready = self.find_weights(name);
        self.weights.insert(name.to_owned(), ready.clone());
        ready
    }

    fn find_weights(&mut self, name: &str) -> Result<Ready, PlanError> {
        let model = &self.experiment.models[name];
        let at = Names { model: name, ..Names::default() }.path(WrittenIn::Weights);
        if let Some(missing) = self.experiment.missing_of("models", name) {
            return Err(PlanError::unavailable(format!("{at}.path"), missing));
        }
        Ok(match &model.weights {
            None => Ready::None,
            Some(Weights::Random { seed }) => Ready::Random(*seed),
            Some(Weights::File(file)) => self.find_in_file(name, file, &format!("{at}.path"))?,
            Some(Weights::Hub(weights)) => {
                let at = format!("{at}.repo");
                let path = in_hub(&self.experiment.hub, weights)
                    .map_err(|error| PlanError::unavailable(&at, format!("{error:#}")))?;
                self.find_in_file(name, &weights.at(path), &at)?
            }
            Some(Weights::TorchHub(weights)) => {
                let at = format!("{at}.file");
                let path = in_torch_hub(self.experiment.torch_hub.as_deref(), &weights.file)
                    .map_err(|message| PlanError::unavailable(&at, message))?;
                self.find_in_file(name, &weights.at(path), &at)?
            }
            Some(Weights::Trained(trained)) => Ready::Trained(self.train(name, model, trained)?),
        })
    }

    /// The weights of a model from a file that is there; `at` is where it is written.
    fn find_in_file(&mut self, name: &str, file: &FileWeights, at: &str) -> Result<Ready, PlanError> {
        let model = &self.experiment.models[name];
        let facts = audit(file, &model.backbone, self.facts)
            .map_err(|problem| PlanError::wrong(at, problem.message, problem.help))?;
        let backbone = self.settled(name, model, file, &facts)?;
        self.compare(name, model, &facts);
        Ok(Ready::File(facts, backbone))
    }

    /// Compares a model with what the files beside its weights say.
    fn compare(&mut self, name: &str, model: &ModelSpec, facts: &FileFacts) {
        let declared = &facts.declared;
        self.notes.extend(declared.notes().iter().map(|note| format!("model {name:?}: {note}")));
        if let Some(method) = &declared.quantized {
            let what = format!("model {name:?}: config.json says that its weights were rounded ({method})");
            self.warn_of_model(name, what);
        }
        if let Some((mean, std, file)) = &declared.normalization {
            let (taken, said) = (model.input_as_declared(mean, std), (mean, std));
            let is_close =
                |a: &[f32], b: &[f32]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
            if !(is_close(&taken.mean, said.0) && is_close(&taken.std, said.1)) {
                let what = format!(
                    "model {name:?}: `normalization` is {:?} and {:?}, and {file} says {mean:?} and {std:?}",
                    taken.mean, taken.std
                );
                self.warn_of_model(name, what);
            }
        }
        self.declared.insert(name.to_owned(), declared.clone());
    }

    /// The way from pixels to the input of a model whose weights have been looked at.
    fn input(&self, name: &str) -> InputSpec {
        let model = &self.experiment.models[name];
        match self.declared.get(name).and_then(|declared| declared.normalization.as_ref()) {
            Some((mean, std, _)) => model.input_as_declared(mean, std),
            None => model.input(),
        }
    }

    /// The backbone of a model with what its tensors do not say.
    fn settled(
        &mut self,
        name: &str,
        model: &ModelSpec,
        file: &FileWeights,
        facts: &FileFacts,
    ) -> Result<Backbone, PlanError> {
        let settled = model.backbone.settled(&facts.origin).map_err(|Unsaid { question, help }| {
            let at = Names { model: name, ..Names::default() }.path(WrittenIn::Backbone);
            PlanError::wrong(at, format!("{}: {question}", file.path.0.display()), Some(help))
        })?;
        settled.notes.iter().for_each(|note| self.note_of_model(name, note));
        for what in settled.contradictions.iter().chain(&facts.warnings) {
            self.warn_of_model(name, format!("model {name:?}: {what}"));
        }
        Ok(settled.backbone)
    }

    fn train(
        &mut self,
        name: &str,
        model: &ModelSpec,
        trained: &TrainedWeights,
    ) -> Result<Output<WeightsArtifact>, PlanError> {
        let names = Names { model: name, task: &trained.on, ..Names::default() };
        let at = names.path(WrittenIn::Weights);
        let image = self.experiment.tasks[&trained.on].image().ok_or_else(|| {
            let message =
                format!("model {name:?} cannot be trained on {:?}, which has features and no images", trained.on);
            PlanError::wrong(format!("{at}.on"), message, None)
        })?;
        let data = self.task_data(&trained.on, name)?;
        fits(model, &image).map_err(|message| {
            let message = format!("model {name:?} cannot be trained on {:?}: {message}", trained.on);
            PlanError::wrong(format!("{at}.on"), message, None)
        })?;
        let images = data.manifest.samples.len();
        if images < trained.batch as usize {
            let message =
                format!("a batch of {} cannot be drawn from the {images} images of {:?}", trained.batch, trained.on);
            return Err(PlanError::wrong(format!("{at}.batch"), message, None));
        }
        if data.manifest.is_multi_label() && matches!(trained.method, Method::Supervised) {
            let message = format!("the images of {:?} show several classes, and training needs one each", trained.on);
            return Err(PlanError::wrong(format!("{at}.on"), message, None));
        }
        let tested = data.manifest.count(Split::Test);
        if tested > 0 && tested < images {
            let warning = format!(
                "model {name:?}: it is trained on all images of {:?}, the {tested} of its Test split too: `subset: (splits: [Train])` leaves them out",
                trained.on
            );
            self.warn_of_model(name, warning);
        }
        let method = match &trained.method {
            Method::Supervised => TrainRecipe::Supervised,
            Method::SimClr(m) => TrainRecipe::SimClr { temperature: m.temperature, projection: m.projection },
        };
        let all: Vec<u32> = (0..images as u32).collect();
        let classes: Vec<u32> = (0..data.manifest.classes.len() as u32).collect();
        let step = TrainBackbone {
            backbone: model.backbone.settled_for_new_weights(),
            input: model.input(),
            image,
            images: data.shards.clone(),
            labels: LabelledImages::leaf(&data.manifest, &all, &classes),
            method,
            steps: trained.steps,
            batch: trained.batch,
            lr: trained.lr,
            weight_decay: trained.weight_decay,
            seed: trained.seed,
            views: trained.views.clone(),
            numeric: Arithmetic::training(PRECISION),
        };
        self.add(format!("train/{name}"), step, names)
    }

    /// Features of the images in these pieces of a task, in their order; at `point` of the network, or where the model says.
    pub(super) fn features(
        &mut self,
        (model_name, task_name): (&str, &str),
        data: &TaskData,
        pieces: &BTreeSet<u32>,
        point: Option<&FeaturePoint>,
    ) -> Result<Vec<Output<Features>>, PlanError> {
        let names = Names { model: model_name, task: task_name, ..Names::default() };
        let suffix = point.map_or_else(String::new, |point| format!("{point:?}"));
        let memo = (model_name.to_owned(), task_name.to_owned(), suffix);
        let known = self.features.get(&memo);
        if let Some(outputs) = known.and_then(|known| pieces.iter().map(|piece| known[*piece as usize]).collect()) {
            return Ok(outputs);
        }
        let model = match self.experiment.tasks[task_name].image() {
            Some(image) => Some((self.model(names, &image, point)?, image)),
            None if point.is_some() => {
                let message = format!("task {task_name:?} has features, and no layers to take others from");
                return Err(PlanError::impossible(names.path(WrittenIn::Dataset), message, None));
            }
            None => None,
        };
        let mut known = self.features.remove(&memo).unwrap_or_else(|| vec![None; data.shards.len()]);
        let mut outputs = Vec::with_capacity(pieces.len());
        for piece in pieces.iter().map(|piece| *piece as usize) {
            let output = match known[piece] {
                Some(output) => output,
                None => self.piece(names, data, piece, model.as_ref())?,
            };
            known[piece] = Some(output);
            outputs.push(output);
        }
        self.features.insert(memo, known);
        Ok(outputs)
    }

    /// Features of one piece: of its images by a model, or those that were given.
    fn piece(
        &mut self,
        names: Names<'_>,
        data: &TaskData,
        piece: usize,
        model: Option<&(ModelRecipe, ImageSpec)>,
    ) -> Result<Output<Features>, PlanError> {
        let (images, count) = (data.shards[piece].clone(), data.shard_len(piece));
        let label = format!("features/{}/{}/{}", names.model, names.task, piece + 1);
        let Some((model, image)) = model.cloned() else {
            return self.add(label, ReadFeatures { rows: images, count }, names);
        };
        *self.readers.entry(images.digest()).or_default() += 1;
        let numeric = Arithmetic::forward(PRECISION);
        self.add(label, ExtractShard { model, image, images, count, numeric }, names)
    }

    /// The network of a model, for images of a task.
    pub(super) fn network(
        &mut self,
        names: Names<'_>,
        image: &ImageSpec,
    ) -> Result<(Backbone, InputSpec, FeaturePoint), PlanError> {
        let ModelRecipe { backbone, input, point, .. } = self.model(names, image, None)?;
        Ok((backbone, input, point))
    }

    /// A model as far as it matters to its features of the images of a task.
    fn model(
        &mut self,
        names: Names<'_>,
        image: &ImageSpec,
        point: Option<&FeaturePoint>,
    ) -> Result<ModelRecipe, PlanError> {
        let model = &self.experiment.models[names.model];
        fits(model, image).map_err(|message| {
            PlanError::impossible(
                names.path(WrittenIn::Image),
                format!("model {:?} cannot be used on task {:?}: {message}", names.model, names.task),
                Some("change `image`, or leave the pair out with `exclude`".to_owned()),
            )
        })?;
        let weights = self.weights(names.model)?;
        let backbone = match &weights {
            Ready::File(facts, backbone) => {
                let doubt = model.backbone.doubt_for(&facts.origin, size_of(image));
                let doubt = doubt.map(|what| format!("model {:?} on task {:?}: {what}", names.model, names.task));
                self.warnings.extend(doubt.filter(|doubt| !self.warnings.contains(doubt)));
                backbone.clone()
            }
            _ => model.backbone.settled_for_new_weights(),
        };
        let point = point.cloned().or_else(|| model.point().ok()).unwrap_or(FeaturePoint::END);
        Ok(ModelRecipe { backbone, weights: weights.into(), input: self.input(names.model), point })
    }
}

/// The weights file of a repository in the cache of the hub.
fn in_hub(hub: &HubCache, weights: &HubWeights) -> anyhow::Result<PathBuf> {
    let snapshot = hub.find(RepoKind::Model, &weights.repo, weights.revision.as_deref())?;
    let repo = &weights.repo;
    if let Some(name) = &weights.file {
        let missing = || format!("{name} of {repo} is not in {}: download it", snapshot.folder.display());
        return snapshot.file(name)?.with_context(missing);
    }
    let files = snapshot.files()?;
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let chosen = Checkpoint::among(&names).map_err(|all| match all.is_empty() {
        true => anyhow::anyhow!("{} of {repo} holds no weights: download them", snapshot.folder.display()),
        false => {
            anyhow::anyhow!("{repo} holds several weights files: say which one is meant by `file`: {}", all.join(", "))
        }
    })?;
    let path = files.iter().find(|(name, _)| name == chosen).map(|(_, path)| path.clone());
    path.context("the file that was chosen is one of them")
}

/// A file in the cache of `torch.hub`.
fn in_torch_hub(folder: Option<&Path>, file: &str) -> Result<PathBuf, String> {
    let mut parts = Path::new(file).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
        return Err(format!("{file:?} is not the name of a file"));
    }
    let folder = folder.ok_or("there is no home folder to look for the cache of torch.hub in: set TORCH_HOME")?;
    let path = folder.join(file);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(
            "{} does not exist (nothing is downloaded here; TORCH_HOME names another folder)",
            path.display()
        )),
    }
}

fn size_of(image: &ImageSpec) -> ImageSize {
    ImageSize { height: image.crop_px.height as usize, width: image.crop_px.width as usize }
}

/// Checks that a model can take images that are prepared so.
fn fits(model: &ModelSpec, image: &ImageSpec) -> Result<(), String> {
    let channels = image.color.channels();
    let size = size_of(image);
    let backbone = &model.backbone;
    if let Some(wanted) = backbone.channels().filter(|wanted| *wanted != channels) {
        let name = backbone.name();
        let color = if wanted == 1 { Color::Grey } else { Color::Rgb };
        return Err(format!(
            "its {name} takes {wanted} channels, and images have {channels}: `color: {color:?}` gives what it wants"
        ));
    }
    if let Some(problem) = backbone.size_problem(size) {
        return Err(format!("its {} {problem}", backbone.name()));
    }
    let given = model.input().mean.len();
    if given > 0 && given != channels {
        return Err(format!("its normalisation is for {given} channels, and images have {channels}"));
    }
    Ok(())
}
