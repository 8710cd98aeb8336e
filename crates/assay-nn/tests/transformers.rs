//! Vision transformers of timm, Hugging Face, open_clip and their authors: recognised by their files alone, with the features of the
//! original libraries (`tests/reference/vision_transformers.py`).

#![allow(clippy::unwrap_used)]

mod hashing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use assay_nn::{
    Backbone, Builder, Checkpoint, Config, Extractor, ImageSize, Origin, Pool, RawTensor, TensorShape, Values, identify,
};
use hashing::{cpu, hashed, hashed_file};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    backbone: Backbone,
    /// What a configuration beside the file says.
    config: Option<Config>,
    /// Each with its shape, under the names of the library.
    tensors: Vec<String>,
    features: Vec<Features>,
}

#[derive(Deserialize)]
struct Features {
    side: usize,
    layer: Option<String>,
    pool: Option<Pool>,
    length: usize,
    /// The largest number.
    scale: f32,
    /// Every how many numbers one is in the sample.
    every: usize,
    numbers: Vec<f32>,
}

fn cases() -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/vision_transformers.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

impl Case {
    fn shapes(&self) -> Vec<TensorShape> {
        let shape = |line: &String| {
            let (name, sides) = line.split_once(' ').unwrap();
            let shape = sides.split('x').map(|side| side.parse().unwrap()).collect();
            TensorShape { name: name.to_owned(), shape }
        };
        self.tensors.iter().map(shape).collect()
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut tensors = hashed_file(self.shapes());
        let positions = ["pos_embed", "positional_embedding", "position_embedding.weight", "position_embeddings"];
        for (k, (name, tensor)) in (1..).zip(&mut tensors) {
            if positions.iter().any(|end| name.ends_with(end)) {
                let values = hashed(tensor.shape.iter().product(), k);
                tensor.bytes = values.into_iter().flat_map(|v| ((0.5 * v) as f32).to_le_bytes()).collect();
            }
        }
        Checkpoint { format: "test", container: None, tensors, unread: Default::default() }
    }

    /// Largest differences, relative to the largest feature.
    fn errors(&self) -> Result<Vec<f32>, String> {
        let checkpoint = self.checkpoint();
        let guess = identify(&checkpoint).ok_or("nothing is recognised")?;
        let found = guess.audit.map_err(|e| format!("{:?}: {e}", guess.backbone))?;
        let written = |backbone: &Backbone| match backbone {
            // No tensor tells how positions are resized.
            Backbone::ViT(spec) => Backbone::ViT(assay_nn::ViT { positions: None, ..spec.clone() }),
            other => other.clone(),
        };
        if guess.backbone != written(&self.backbone) {
            return Err(format!("recognised as {:?}", guess.backbone));
        }
        let origin = Origin { config: self.config.clone(), ..Origin::of(&checkpoint, found.naming) };
        let settled = self.backbone.settled(&origin).map_err(|asked| asked.question)?;
        let errors = self.features.iter().map(|features| features.error(&settled.backbone, &found.tensors, &self.name));
        Ok(errors.collect())
    }
}

impl Features {
    fn error(&self, backbone: &Backbone, tensors: &BTreeMap<String, RawTensor>, name: &str) -> f32 {
        let device = cpu();
        let net = backbone.build(&mut Builder::new(&device.device, Values::Given(tensors)));
        let point = backbone.point(self.layer.as_deref(), self.pool).unwrap();
        let size = ImageSize::square(self.side);
        let extractor = Extractor::new(backbone, net, device, 3, size).at(point.clone());
        let found = extractor.forward(hashed(3 * size.area(), 77).into_iter().map(|v| v as f32).collect());
        if found.len() != self.length {
            return f32::INFINITY;
        }
        assert_eq!(backbone.features(3, size, &point), Some(self.length), "{name}");
        let pairs = found.iter().step_by(self.every).zip(&self.numbers);
        pairs.fold(0.0f32, |worst, (a, b)| if (a - b).is_nan() { f32::NAN } else { worst.max((a - b).abs()) })
            / self.scale
    }
}

#[test]
fn transformers_are_recognised_and_give_the_features_of_the_original_libraries() {
    let cases = cases();
    assert!(cases.len() >= 35);
    let errors = cases.iter().map(|case| (&case.name, case.errors()));
    let is_right = |errors: &Vec<f32>| errors.iter().all(|error| *error <= 1e-4);
    let errors = errors.inspect(|(name, errors)| println!("{name}: {errors:?}"));
    let wrong: Vec<_> = errors.filter(|(_, errors)| !errors.as_ref().is_ok_and(is_right)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
