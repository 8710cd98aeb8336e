//! The world outside: environment, clock, working folder, terminal.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use assay_config::{Environment, Problem, printable_lines, printable_message};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// The environment variables and the home folder that paths in experiments may refer to.
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

/// Folder of the store: what was asked for, else `ASSAY_STORE`, else the closest `cache/` with a `CACHEDIR.TAG` in this
/// folder or one above, else `cache/` here.
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

/// Writes a file that must not exist yet, aside first: it is there as a whole, or not at all.
pub fn write_whole(path: &Path, write: impl FnOnce(&std::fs::File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    anyhow::ensure!(!path.exists(), "{} exists already: give another name, or remove it", path.display());
    let mut aside = path.file_name().unwrap_or_default().to_owned();
    aside.push(format!(".{}.part", std::process::id()));
    let aside = path.with_file_name(aside);
    let file = std::fs::File::create_new(&aside).with_context(|| format!("creating {}", aside.display()))?;
    let written = write(&file).and_then(|()| Ok(file.sync_all()?));
    // A link is refused where the name exists by now; where there are no links, a rename is the next best.
    let placed = written.and_then(|()| match std::fs::hard_link(&aside, path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Ok(std::fs::rename(&aside, path)?),
        linked => Ok(linked?),
    });
    let _ = std::fs::remove_file(&aside);
    placed.with_context(|| format!("writing {}", path.display()))
}

/// Threads of this machine.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Tells whether standard output is a terminal that shows bold text.
#[allow(clippy::disallowed_methods)]
pub fn is_bold() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Tells whether standard error is a terminal.
pub fn is_interactive() -> bool {
    std::io::stderr().is_terminal()
}

/// Writes bytes that are no text for people to standard output, as they are.
pub fn print_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a text for people to standard output. Names in it have been made printable by whoever put them there; whatever a
/// terminal would still obey is escaped here.
pub fn print(text: &str) -> std::io::Result<()> {
    print_exact(&printable_lines(text))
}

/// Writes to standard output as it is: what is for programs, and what has bold text of our own in it.
pub fn print_exact(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes a line for people to standard error. That nobody reads it is no error. No name in it can make a line of its own or
/// reach the terminal with more than text.
pub fn note(line: &str) {
    note_exact(&printable_message(line));
}

fn note_exact(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A path in JSON, which knows no other text than Unicode.
pub fn in_json(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Problems that are shown with the text that they are in; and after them, problems that get a line each.
const SHOWN_IN_FULL: usize = 50;
const SHOWN_IN_LINES: usize = 200;

/// Shows what is wrong with an experiment; of very many problems, the first ones.
pub fn print_problems(problems: &[Problem]) {
    let theme = if is_interactive() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(110)
        .with_wrap_lines(is_interactive())
        .with_context_lines(1);
    let (full, others) = problems.split_at(problems.len().min(SHOWN_IN_FULL));
    for problem in full {
        let mut text = String::new();
        if handler.render_report(&mut text, problem).is_ok() {
            // The texts of a problem are printable, and the colours are ours.
            note_exact(text.trim_end());
        }
    }
    let (lines, left) = others.split_at(others.len().min(SHOWN_IN_LINES));
    for problem in lines {
        note(&problem.one_line());
    }
    if !left.is_empty() {
        note(&format!("… and {} more", left.len()));
    }
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    note(&format!("error: {} {noun} in the experiment; nothing was run", problems.len()));
}
