use std::path::PathBuf;

use anyhow::Context as _;
use assay_config::nearest;
use assay_lab::WeightsArtifact;
use clap::Args;

use super::ExperimentArguments;
use crate::{CliError, Exit, environment};

/// Writes the weights that a model was trained to as a safetensors file.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    experiment: ExperimentArguments,
    /// Name of the model; its weights are `Trained(…)`.
    model: String,
    /// File to write; it must not exist yet.
    to: PathBuf,
}

impl Export {
    pub fn run(self) -> Result<Exit, CliError> {
        let store = self.experiment.store().peek();
        let planned = self.experiment.plan(&store)?;
        let names: Vec<&str> = planned.trained.iter().map(|(name, _)| name.as_str()).collect();
        let Some((_, output)) = planned.trained.iter().find(|(name, _)| *name == self.model) else {
            let hint = nearest(&self.model, names.iter().copied())
                .map_or_else(String::new, |n| format!("; did you mean {n}?"));
            return Err(CliError::Usage(format!(
                "no model called {} has trained weights ({}){hint}",
                self.model,
                names.join(", ")
            )));
        };
        if !store.contains(output.kind(), output.key()) {
            return Err(CliError::Usage(format!("{} has not been trained yet: run the experiment first", self.model)));
        }
        let entry = store.entry(output.kind(), output.key())?.context("the weights are gone")?;
        let bytes = entry.files.get(WeightsArtifact::FILE)?;
        environment::write_new(&self.to, &bytes)?;
        environment::note(&format!("wrote {} ({})", self.to.display(), super::size(bytes.len() as u64)));
        Ok(Exit::Done)
    }
}
