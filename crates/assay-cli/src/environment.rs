//! The outside runtime: environment, clock, working folder, terminal.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use assay_config::{Environment, Problem};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// What paths in experiments may refer to.
pub fn variables() -> Environment {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Environment { variables: variables.collect(), home: std::env::home_dir() }
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods)]
pub fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Name of this machine.
#[allow(clippy::disallowed_methods)]
pub fn host() -> String {
    let kept = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kept.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map_or_else(|| "unknown".to_owned(), |n| n.trim().to_owned())
}

/// Where the store is: what was asked for, else `ASSAY_STORE`, else the closest `cache/` with a `CACHEDIR.TAG` in this folder
/// or one above, else `cache/` here.
#[allow(clippy::disallowed_methods)]
pub fn store_folder(asked: Option<&Path>) -> PathBuf {
    if let Some(path) = asked {
        return path.to_owned();
    }
    if let Some(path) = std::env::var_os("ASSAY_STORE").filter(|p| !p.is_empty()) {
        return path.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let tagged = here.ancestors().map(|folder| folder.join("cache")).find(|cache| cache.join("CACHEDIR.TAG").exists());
    tagged.unwrap_or_else(|| here.join("cache"))
}

/// The part of a CUDA toolkit that kernels need, where they will look for it.
#[allow(clippy::disallowed_methods)]
pub fn libdevice() -> Option<PathBuf> {
    let named = std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let usual = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda", "/usr"].map(PathBuf::from);
    let mut places = named.into_iter().chain(usual).map(|root| root.join("nvvm/libdevice/libdevice.10.bc"));
    places.find(|path| path.exists())
}

/// Writes a file that must not exist yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = std::fs::File::create_new(path).with_context(|| format!("creating {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))
}

/// Threads of this machine.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether standard output is a terminal that shows bold text.
#[allow(clippy::disallowed_methods)]
pub fn is_bold() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Whether standard error is a terminal.
pub fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes a result to standard output.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line for people to standard error. That nobody reads it is no error.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Shows all that is wrong with an experiment.
pub fn print_problems(problems: Vec<Problem>) {
    let theme = if is_interactive() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(110)
        .with_wrap_lines(is_interactive())
        .with_context_lines(1);
    let count = problems.len();
    for problem in problems {
        let mut text = String::new();
        if handler.render_report(&mut text, &problem).is_ok() {
            note(text.trim_end());
        }
    }
    note(&format!(
        "error: {count} {} in the experiment; nothing was run",
        if count == 1 { "problem" } else { "problems" }
    ));
}
