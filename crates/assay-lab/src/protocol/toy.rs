//! Protocols of kinds that are still to come, each as small as can be: that they compile, plan and run shows that boxes, masks
//! and training can be asked for.

use assay_config::Checker;
use assay_data::{ClassMap, ImageSpec, Manifest, Split};
use assay_engine::{Content, Context, External, Json, Output, Step};
use assay_nn::FeaturePoint;
use assay_stats::metrics::MetricId;
use serde::{Deserialize, Serialize};

use crate::outside::{LabelledImages, ShardImages};
use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::{Evaluation, Exhibit, Items, LearningCurve, Measure, PerItem, PrecisionRecall};
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WeightsRecipe, WrittenIn};

/// Finds one object in every image: all of it.
struct WholeImage;

#[derive(Serialize)]
struct FindObjects {
    images: Vec<External<ShardImages>>,
    samples: Content<Manifest>,
    image: ImageSpec,
}

impl Protocol for WholeImage {
    fn check(&self, _: &Checker<'_>) {}

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        let samples = cell.split(Split::Test);
        if samples.iter().any(|i| cell.data().samples[*i as usize].targets.boxes.is_none()) {
            return Err(cell.task_error("detection needs boxes, and the dataset has none".to_owned()));
        }
        let find = FindObjects { images: cell.images(&samples), samples: cell.samples(&samples), image: cell.image()? };
        cell.add_evaluation(find)
    }
}

impl LabStep for FindObjects {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/samples", WrittenIn::Dataset), ("/image", WrittenIn::Image)];
}

impl Step<Runtime> for FindObjects {
    const KIND: &'static str = "toy-boxes";
    const VERSION: u32 = 1;
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let (mut values, mut digests) = (Vec::new(), Vec::new());
        self.images.iter().for_each(|images| {
            context.open(images);
        });
        for sample in &self.samples.value().samples {
            let prepared = self.image.apply(&sample.picture(self.image.color)?)?;
            let area = (prepared.pixels.width * prepared.pixels.height) as f32;
            for object in sample.targets.boxes.iter().flat_map(|boxes| boxes.iter()) {
                let found = prepared.geometry.map_box(object);
                let overlap = found.map_or(0.0, |b| (b.x1 - b.x0) * (b.y1 - b.y0) / area);
                values.push(f64::from(u8::from(overlap >= 0.5)));
                digests.push(*sample.digest.as_bytes());
            }
        }
        let share = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let curve = PrecisionRecall { classes: vec![0], curves: vec![vec![(share, share)]] };
        let measure = Measure::new(MetricId::of("ap50"), share, Items::Objects, values.len());
        let items = PerItem { over: Items::Objects, digests, values };
        Evaluation::new(measure.metric, vec![measure], Some(items), vec![Exhibit::PrecisionRecall(curve)])
    }
}

/// Calls every pixel class 0.
struct OneClass;

#[derive(Serialize)]
struct SegmentImages {
    images: Vec<External<ShardImages>>,
    samples: Content<Manifest>,
    image: ImageSpec,
}

impl Protocol for OneClass {
    fn check(&self, _: &Checker<'_>) {}

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        let samples = cell.split(Split::Test);
        if samples.iter().any(|i| cell.data().samples[*i as usize].targets.mask.is_none()) {
            return Err(cell.task_error("segmentation needs masks, and the dataset has none".to_owned()));
        }
        let step =
            SegmentImages { images: cell.images(&samples), samples: cell.samples(&samples), image: cell.image()? };
        cell.add_evaluation(step)
    }
}

impl LabStep for SegmentImages {}

impl Step<Runtime> for SegmentImages {
    const KIND: &'static str = "toy-masks";
    const VERSION: u32 = 1;
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let (mut right, mut all) = (0usize, 0usize);
        self.images.iter().for_each(|images| {
            context.open(images);
        });
        for sample in &self.samples.value().samples {
            let prepared = self.image.apply(&sample.picture(self.image.color)?)?;
            let Some(target) = &sample.targets.mask else { continue };
            let mask = prepared.geometry.map_mask(&target.read()?)?;
            let counted: Vec<u8> = mask.classes.into_iter().filter(|class| *class != ClassMap::NONE).collect();
            all += counted.len();
            right += counted.iter().filter(|class| **class == 0).count();
        }
        let measure =
            Measure::new(MetricId::of("pixel_accuracy"), right as f64 / all.max(1) as f64, Items::Pixels, all);
        Evaluation::new(measure.metric, vec![measure], None, Vec::new())
    }
}

/// "Trains" from the weights of the model with two learning rates, chooses the better one, and scores it.
struct Finetune;

#[derive(Serialize)]
struct TrainHead {
    start: WeightsRecipe,
    features: Vec<Output<Features>>,
    fit: Content<LabelledImages>,
    lr: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Head {
    lr: f64,
    score: f64,
    losses: Vec<f32>,
}

#[derive(Serialize)]
struct ChooseHead {
    heads: Vec<Output<Json<Head>>>,
}

#[derive(Serialize)]
struct ScoreHead {
    head: Output<Json<Head>>,
}

impl Protocol for Finetune {
    fn check(&self, _: &Checker<'_>) {}

    fn plan(&self, cell: &mut CellPlan<'_, '_>) -> Result<Output<Evaluation>, PlanError> {
        let train = cell.split(Split::Test);
        let mut heads = Vec::new();
        for lr in [0.1, 0.01] {
            let head = TrainHead {
                start: cell.start()?,
                features: cell.features_at(&train, &FeaturePoint::END)?,
                fit: cell.labelled(&train, &cell.all_classes()),
                lr,
            };
            heads.push(cell.add(format!("candidate/{lr}"), head)?);
        }
        let head = cell.add("choose".to_owned(), ChooseHead { heads })?;
        cell.add_evaluation(ScoreHead { head })
    }
}

impl LabStep for TrainHead {
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/start", WrittenIn::Weights), ("/fit", WrittenIn::Dataset)];
}

impl LabStep for ChooseHead {}

impl LabStep for ScoreHead {}

impl Step<Runtime> for TrainHead {
    const KIND: &'static str = "toy-train";
    const VERSION: u32 = 1;
    type Output = Json<Head>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<Head>> {
        let table = FeatureTable::rows(context, &self.features, self.fit.value())?;
        Ok(Json(Head { lr: self.lr, score: 1.0 - self.lr, losses: vec![table.values.len() as f32, 1.0] }))
    }
}

impl Step<Runtime> for ChooseHead {
    const KIND: &'static str = "toy-choose";
    const VERSION: u32 = 1;
    type Output = Json<Head>;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Json<Head>> {
        let heads = self.heads.iter().map(|head| Ok(context.load(head)?.0)).collect::<anyhow::Result<Vec<Head>>>()?;
        let best = heads.into_iter().reduce(|best, head| if head.score > best.score { head } else { best });
        best.map(Json).ok_or_else(|| anyhow::anyhow!("there is no candidate"))
    }
}

impl Step<Runtime> for ScoreHead {
    const KIND: &'static str = "toy-score";
    const VERSION: u32 = 1;
    type Output = Evaluation;

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Evaluation> {
        let Json(head) = context.load(&self.head)?;
        let measure = Measure::new(MetricId::of("top1"), head.score, Items::Images, 1);
        let curve = Exhibit::LearningCurve(LearningCurve { loss: "cross-entropy".to_owned(), values: head.losses });
        Evaluation::new(measure.metric, vec![measure], None, vec![curve])
    }
}

mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use assay_config::Environment;
    use assay_data::{BoundingBox, ImageSource, MaskTarget, TargetFile};
    use assay_engine::{CancelToken, Executor, Facts, Options, Store};
    use assay_nn::device::{DeviceChoice, open};

    use super::*;
    use crate::outside::TaskData;
    use crate::plan::Planner;
    use crate::protocol::ProtocolSpec;
    use crate::spec::{Cell, Experiment};

    const FILE: &str = r#"(
        tasks: { "t": (dataset: Glyphs(alphabets: 1, characters: 2, drawers: 4, test_drawers: 2), image: (size: 28, resize: None, color: Grey)) },
        models: { "pixels": (backbone: Pixels) },
        protocols: { "knn": Knn(k: 1) },
    )"#;

    /// Plans and runs a protocol on handwriting with a box and a mask for every drawing; what cannot be planned is told.
    fn evaluate(protocol: &dyn Protocol, has_targets: bool) -> Result<Evaluation, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("e.ron");
        std::fs::write(&file, FILE).unwrap();
        // The left half of every mask is class 0, the right half class 1.
        let mask: Vec<u8> = (0..28 * 28).map(|i| u8::from(i % 28 >= 14)).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 28, 28);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&mask).unwrap();
        std::fs::write(dir.path().join("mask.png"), &bytes).unwrap();
        let digest = blake3::hash(&bytes);
        let (experiment, _) = Experiment::load(&file, &[], Environment::default(), false, ProtocolSpec::check);
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let facts = Facts::open(store.facts_folder());
        let mut manifest = experiment.tasks["t"].dataset.manifest(&assay_data::Direct, &experiment.hub).unwrap();
        for sample in manifest.samples.iter_mut().filter(|_| has_targets) {
            let object = BoundingBox { x0: 0.0, y0: 0.0, x1: 28.0, y1: 21.0, class: 0, difficult: false, crowd: false };
            sample.targets.boxes = Some(vec![object].into());
            let file = TargetFile { source: ImageSource::File(dir.path().join("mask.png")), digest };
            sample.targets.mask = Some(MaskTarget { file, first_class: 0, ignore: 255 });
        }
        let data = Arc::new(TaskData::of(manifest, &facts));
        let mut planner = Planner::new(&experiment, &facts);
        let cell = Cell { model: "pixels".into(), task: "t".into(), protocol: "knn".into() };
        let output = protocol.plan(&mut CellPlan::new(&mut planner, &cell, data)).map_err(|error| error.message)?;
        let planned = crate::results::PlannedCell {
            cell,
            evaluation: Ok(output),
            exhibits: Vec::new(),
            probe: None,
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        let plan = planner.finish(&[planned]).plan;
        let device = open(DeviceChoice::Cpu).unwrap();
        let options = Options {
            jobs: 2,
            memory_bytes: None,
            keep_going: true,
            host: String::new(),
            devices: vec![device.name.clone()],
            program: String::new(),
            now_unix: || 0,
        };
        let runtime = Runtime::new(vec![device], 2, HashSet::new());
        let summary = Executor {
            plan: &plan,
            store: &store,
            runtime: &runtime,
            options: &options,
            events: &|_| {},
            headline: Evaluation::SUMMARY,
            found: &|_, _, _| {},
            cancel: &CancelToken::default(),
        }
        .run()
        .unwrap();
        assert!(summary.failed.is_empty(), "{summary:?}");
        Ok(store.read(&output).unwrap())
    }

    #[test]
    fn boxes_masks_and_training_can_be_asked_for() {
        let headline = |evaluation: Evaluation| {
            let headline = evaluation.summary.headline().clone();
            (headline.metric.id(), headline.value, headline.over, headline.count)
        };
        let boxes = evaluate(&WholeImage, true).unwrap();
        assert!(matches!(boxes.exhibits[..], [Exhibit::PrecisionRecall(_)]));
        assert_eq!(headline(boxes), ("ap50", 1.0, Items::Objects, 4));
        assert_eq!(headline(evaluate(&OneClass, true).unwrap()), ("pixel_accuracy", 0.5, Items::Pixels, 4 * 28 * 28));
        let trained = evaluate(&Finetune, true).unwrap();
        assert!(matches!(trained.exhibits[..], [Exhibit::LearningCurve(_)]));
        assert_eq!(headline(trained), ("top1", 0.99, Items::Images, 1));
        assert!(evaluate(&WholeImage, false).unwrap_err().contains("needs boxes"));
        assert!(evaluate(&OneClass, false).unwrap_err().contains("needs masks"));
    }
}
