//! Drives the real binary in a folder of its own.

#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a store.
pub struct Workspace {
    pub dir: TempDir,
}

/// What a command did.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Asserts that it went well.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Asserts that it failed with `code`.
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// Steps that a run says it ran.
    pub fn ran(&self) -> usize {
        let line = self
            .stderr
            .lines()
            .find(|l| l.contains(" steps run"))
            .unwrap_or_else(|| panic!("no summary in {}", self.stderr));
        line.split(' ').next().unwrap().parse().unwrap()
    }

    /// Labels of the steps that finished, without their numbers.
    pub fn finished(&self) -> Vec<String> {
        let label = |line: &str| Some(line.strip_prefix('[')?.split_once("] ")?.1.split("  ").next()?.to_owned());
        self.stderr.lines().filter(|l| l.contains(" s, ")).filter_map(label).collect()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Workspace {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
        command.current_dir(self.path()).args(arguments).env_remove("ASSAY_STORE").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn assay(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs an experiment on the CPU.
    pub fn run(&self, file: &str) -> Outcome {
        self.assay(&["run", file, "--device", "cpu"])
    }

    /// The results of an experiment as one text, without the folder that they are in.
    pub fn results(&self, file: &str) -> String {
        let mut value = self.assay(&["show", file, "--format", "json"]).ok().json();
        for cell in value["cells"].as_array_mut().unwrap() {
            assert!(cell["summary"].is_object(), "{cell}");
            cell.as_object_mut().unwrap().remove("folder");
        }
        value.to_string()
    }
}

/// A folder of real inputs beside the repository, if there is one.
pub fn shared(part: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(part);
    if !path.exists() {
        eprintln!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

pub const SMALL: &str = r#"(
    tasks: { "glyphs": (dataset: Glyphs(alphabets: 2, characters: 10, drawers: 12, test_drawers: 4), image: (size: 28, resize: None, color: Grey)) },
    models: {
        "pixels": (backbone: Pixels, polarity: Inverted),
        "random": (backbone: Conv4(channels: 1, width: 8), weights: Random(seed: 0), polarity: Inverted),
    },
    protocols: {
        "5w1s": FewShot(ways: 5, shots: 1, queries: 5, episodes: 50),
        "knn": Knn(k: 5),
    },
)"#;

/// Writes a PNG of 8 bits, whose pixels are grey (C = 1) or RGB (C = 3).
pub fn write_png<const C: usize>(path: &Path, (width, height): (u32, u32), pixel: impl Fn(u32, u32) -> [u8; C]) {
    let pixels: Vec<u8> =
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x, y)])).flat_map(|(x, y)| pixel(x, y)).collect();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(if C == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}
