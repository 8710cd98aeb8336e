use std::fmt::Write as _;

use assay_lab::device::{self, DeviceChoice};
use clap::Args;
use serde_json::json;

use super::{ListFormat, StoreArguments, print_json};
use crate::{CliError, Exit, environment};

/// Says which devices are compiled in, which are there, and why one cannot be used.
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    store: StoreArguments,
    /// Format of the report.
    #[arg(long, value_enum, default_value = "text")]
    format: ListFormat,
}

impl Doctor {
    pub fn run(self) -> Result<Exit, CliError> {
        let probes = device::probe();
        let auto = device::open(DeviceChoice::Auto).map_or_else(|e| e, |d| d.name);
        let store = self.store.folder();
        if self.format == ListFormat::Json {
            let devices: Vec<_> = probes
                .iter()
                .map(|p| json!({"name": p.name, "compiled": p.compiled, "devices": p.devices, "note": p.note}))
                .collect();
            let value = json!({"version": env!("CARGO_PKG_VERSION"), "threads": environment::threads(), "devices": devices, "auto": auto, "store": environment::in_json(&store), "store_exists": store.is_dir()});
            print_json("assay.doctor/1", value)?;
            return Ok(Exit::Done);
        }
        let mut text = format!("assay {}\n", env!("CARGO_PKG_VERSION"));
        for probe in &probes {
            let found = if probe.devices.is_empty() { "none".to_owned() } else { probe.devices.join(", ") };
            let compiled = if probe.compiled { "compiled in" } else { "not compiled in" };
            let note = if probe.note.is_empty() { String::new() } else { format!("  ({})", probe.note) };
            let _ = writeln!(text, "{:<7} {compiled:<16} {found}{note}", probe.name);
        }
        if probes.iter().any(|p| p.name == "cuda" && p.compiled) {
            let _ = match environment::libdevice() {
                Some(path) => writeln!(text, "libdevice {}", path.display()),
                None => writeln!(
                    text,
                    "libdevice not found: kernels with exp, log or tanh will not compile; install a CUDA toolkit, or the wheel nvidia-cuda-nvcc-cu12 and set CUDA_PATH to the folder with nvvm/ in it"
                ),
            };
        }
        let _ = writeln!(text, "--device auto uses {auto}");
        let _ = writeln!(text, "store   {}{}", store.display(), if store.is_dir() { "" } else { " (will be made)" });
        environment::print(&text)?;
        Ok(Exit::Done)
    }
}
