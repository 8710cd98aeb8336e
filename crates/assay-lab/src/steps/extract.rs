//! Features of the images of a shard.

use std::collections::HashMap;

use assay_data::{ImageSpec, Manifest};
use assay_engine::{
    Artifact, ArtifactFiles, Context, Cost, Digest, External, Needs, Output, Step, Threads, to_canonical_json,
};
use assay_nn::{Backbone, Builder, Extractor, FeaturePoint, ImageSize, InputSpec, Values, extract};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Serialize;

use super::train::WeightsArtifact;
use super::{Arithmetic, Arrays, LabStep, Runtime, WrittenIn, array};
use crate::outside::{CheckpointPlace, LabelledImages, ShardImages, prepare};

/// A model as far as it matters to its features.
#[derive(Clone, Serialize)]
pub struct ModelRecipe {
    /// The network.
    pub backbone: Backbone,
    /// Weights of the network.
    pub weights: WeightsRecipe,
    /// The way from pixels to the network's input.
    pub input: InputSpec,
    /// Point of the network where features are taken.
    #[serde(skip_serializing_if = "FeaturePoint::is_end")]
    pub point: FeaturePoint,
}

/// Weights as far as they matter.
#[derive(Clone, Serialize)]
pub enum WeightsRecipe {
    /// The backbone has none.
    None,
    /// Drawn from this seed.
    Random(u64),
    /// Tensors of a checkpoint.
    Tensors(External<CheckpointPlace>),
    /// Weights that another step trains.
    Trained(Output<WeightsArtifact>),
}

/// Extracts the features of a shard.
#[derive(Serialize)]
pub struct ExtractShard {
    /// The model.
    pub model: ModelRecipe,
    /// Preparation of images.
    pub image: ImageSpec,
    /// The images.
    pub images: External<ShardImages>,
    /// Number of images; for predictions of cost, and told by `images` already.
    #[serde(skip)]
    pub count: usize,
    /// Arithmetic that features are computed with.
    pub numeric: Arithmetic,
}

impl ExtractShard {
    fn load(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Extractor> {
        let device = context.runtime().devices[context.device()].clone();
        let model = &self.model;
        let build = |values: Values<'_>| model.backbone.build(&mut Builder::new(&device.device, values));
        let net = match &model.weights {
            WeightsRecipe::None => None,
            WeightsRecipe::Random(seed) => build(Values::Random(*seed)),
            WeightsRecipe::Tensors(leaf) => build(Values::Given(&context.open(leaf).load(leaf.digest())?)),
            WeightsRecipe::Trained(output) => build(Values::Given(&context.load(output)?.tensors)),
        };
        let size = self.image.crop_px;
        let size = ImageSize { height: size.height as usize, width: size.width as usize };
        let extractor = Extractor::new(&model.backbone, net, device, self.image.color.channels(), size);
        Ok(extractor.at(model.point.clone()))
    }
}

impl LabStep for ExtractShard {
    const ROOT: WrittenIn = WrittenIn::Model;
    const WRITTEN_IN: &'static [(&'static str, WrittenIn)] =
        &[("/model", WrittenIn::Model), ("/image", WrittenIn::Image), ("/images", WrittenIn::Dataset)];
}

impl Step<Runtime> for ExtractShard {
    const KIND: &'static str = "features";
    const VERSION: u32 = 3; // 2 – libjpeg; 3 – versions of pixels and of the forward pass are named in the recipe
    type Output = Features;

    fn needs(&self) -> Needs {
        Needs { threads: Threads::All, device: true, ..Needs::default() }
    }

    fn affinity(&self) -> Option<Digest> {
        Some(self.images.digest())
    }

    fn cost(&self) -> Cost {
        Cost { group: format!("{} {} px", self.model.backbone.name(), self.image.crop_px), units: self.count as f64 }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Features> {
        let device = context.device();
        let name = format!("{device} {} {}", to_canonical_json(&self.model)?, self.image.crop_px);
        let extractor = context.runtime().extractor(&name, || self.load(context))?;
        let samples = &context.open(&self.images).samples;
        let channels = self.image.color.channels();
        let pictures = context.runtime().pictures_of(self.images.digest());
        let load = |i: usize| {
            let pixels = prepare(&samples[i], &self.image, pictures)?;
            Ok(self.model.input.apply(&pixels, channels))
        };
        let (progress, cancel) = (context.ticker(samples.len() as u64, "images"), context.canceller());
        let tick = |done: usize| {
            progress(done as u64);
            cancel().map_err(anyhow::Error::from)
        };
        let values = extract(&extractor, samples.len(), context.threads(), load, tick)?;
        let dim = values.len() / samples.len().max(1);
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            anyhow::bail!(
                "the features of {} are not finite: the weights or the input normalisation do not fit the model",
                samples[bad / dim].path
            );
        }
        let digests = samples.iter().map(|s| *s.digest.as_bytes()).collect();
        Ok(Features { digests, values, dim })
    }
}

/// Features of some images: rows named by the digest of the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Digest of each image.
    pub digests: Vec<[u8; 32]>,
    /// N × D numbers.
    pub values: Vec<f32>,
    /// D.
    pub dim: usize,
}

const FILE: &str = "features.safetensors";

impl Artifact for Features {
    fn write(&self, files: &mut ArtifactFiles) -> anyhow::Result<()> {
        let n = self.digests.len();
        let arrays = Arrays::new().with("digests", Dtype::U8, &[n, 32], self.digests.iter().copied()).with(
            "features",
            Dtype::F32,
            &[n, self.dim],
            self.values.iter().map(|v| v.to_le_bytes()),
        );
        files.put_plain(FILE, arrays.to_bytes()?)
    }

    fn read(files: &ArtifactFiles) -> anyhow::Result<Self> {
        let bytes = files.get(FILE)?;
        let file = SafeTensors::deserialize(&bytes)?;
        let (_, digests) = array(&file, "digests", |d: [u8; 32]| d)?;
        let (shape, values) = array(&file, "features", f32::from_le_bytes)?;
        anyhow::ensure!(shape.len() == 2 && shape[0] == digests.len(), "the shape of the features does not fit");
        Ok(Self { digests, values, dim: shape[1] })
    }
}

/// Features of all samples of a manifest, in its order.
pub struct FeatureTable {
    /// N × D numbers.
    pub values: Vec<f32>,
    /// D.
    pub dim: usize,
}

impl FeatureTable {
    /// Joins shards.
    ///
    /// # Errors
    /// When a shard is damaged or an image is in none of them.
    pub fn load(
        context: &Context<'_, Runtime>,
        shards: &[Output<Features>],
        manifest: &Manifest,
    ) -> anyhow::Result<Self> {
        Self::join(context, shards, manifest.samples.iter().map(|s| (s.digest.as_bytes(), s.path.as_str())))
    }

    /// Features of some samples, in their order.
    ///
    /// # Errors
    /// When a shard is damaged or an image is in none of them.
    pub fn rows(
        context: &Context<'_, Runtime>,
        shards: &[Output<Features>],
        images: &LabelledImages,
    ) -> anyhow::Result<Self> {
        Self::join(context, shards, images.images.iter().zip(images.names.iter().map(String::as_str)))
    }

    fn join<'s>(
        context: &Context<'_, Runtime>,
        shards: &[Output<Features>],
        images: impl ExactSizeIterator<Item = (&'s [u8; 32], &'s str)>,
    ) -> anyhow::Result<Self> {
        let shards = shards.iter().map(|s| context.load(s)).collect::<anyhow::Result<Vec<_>>>()?;
        let dim = shards.first().map_or(0, |s| s.dim);
        anyhow::ensure!(shards.iter().all(|s| s.dim == dim), "the shards have features of different lengths");
        let mut rows = HashMap::new();
        for shard in &shards {
            rows.extend(shard.digests.iter().copied().zip(shard.values.chunks_exact(dim.max(1))));
        }
        let mut values = Vec::with_capacity(images.len() * dim);
        for (digest, name) in images {
            let row = rows.get(digest).ok_or_else(|| anyhow::anyhow!("there are no features of {name}"))?;
            values.extend_from_slice(row);
        }
        Ok(Self { values, dim })
    }
}
