//! Features that somebody else has computed.

use assay_data::features_of;
use assay_engine::{Context, Cost, External, Step};
use serde::Serialize;

use super::{Features, LabStep, Runtime, WrittenIn};
use crate::outside::ShardImages;

/// Takes the features of a piece of a task from their file, as 32-bit floats.
#[derive(Serialize)]
pub struct ReadFeatures {
    /// The rows.
    pub rows: External<ShardImages>,
    /// Number of rows; for predictions of cost, and told by `rows` already.
    #[serde(skip)]
    pub count: usize,
}

impl LabStep for ReadFeatures {
    const ROOT: WrittenIn = WrittenIn::Dataset;
}

impl Step<Runtime> for ReadFeatures {
    const KIND: &'static str = "given";
    const VERSION: u32 = 1;
    type Output = Features;

    fn cost(&self) -> Cost {
        Cost { group: "given".to_owned(), units: self.count as f64 }
    }

    fn run(&self, context: &Context<'_, Runtime>) -> anyhow::Result<Features> {
        let samples = &context.open(&self.rows).samples;
        let (values, dim) = features_of(samples)?;
        Ok(Features { digests: samples.iter().map(|s| *s.digest.as_bytes()).collect(), values, dim })
    }
}
