//! Image files to normalised tensors, images a second, against Pillow and torchvision in a `DataLoader` with as many workers,
//! on the same files, in one run: 500×375 JPEG, 4:2:0, resized to 224 (bicubic), cut from the centre.
//!
//! Python with torchvision is looked for in `$ASSAY_BENCH_PYTHON`, else `python3`; it also writes the files, so that without it
//! there is nothing to show.

#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use assay_data::{Color, Filter, ImageSource, ImageSpec, Resize, Sample, Size, Split, Targets};
use assay_nn::{InputSpec, Range};

const FILES: usize = 400;
const ROUNDS: usize = 5;

const WRITE: &str = r"
import sys
import numpy as np
from PIL import Image
rng = np.random.default_rng(0)
y, x = np.mgrid[0:375, 0:500] / 100
for i in range(int(sys.argv[2])):
    a, b = rng.uniform(1, 6, (2, 3))
    rgb = 127 + 90 * np.sin(x[..., None] * a + y[..., None] * b) + rng.normal(0, 8, (375, 500, 1))
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(f'{sys.argv[1]}/{i:04d}.jpg', quality=90)
";

const READ: &str = r"
import glob, sys, time
import torch
from PIL import Image
from torchvision import transforms as T
files = sorted(glob.glob(sys.argv[1] + '/*.jpg')) * int(sys.argv[2])
workers = int(sys.argv[3])
many = T.Compose([T.Resize(224, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(224), T.ToTensor(),
                  T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
class Files(torch.utils.data.Dataset):
    def __len__(self): return len(files)
    def __getitem__(self, i): return many(Image.open(files[i]).convert('RGB'))
torch.set_num_threads(1)
loader = torch.utils.data.DataLoader(Files(), batch_size=64, num_workers=workers)
it = iter(loader)
next(it)
start = time.perf_counter()
n = sum(len(batch) for batch in it)
print(n / (time.perf_counter() - start))
";

fn main() {
    let python = std::env::var("ASSAY_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = std::env::temp_dir().join("assay-bench-images");
    std::fs::create_dir_all(&folder).unwrap();
    let run = |code: &str, arguments: &[String]| {
        let output = Command::new(&python).arg("-c").arg(code).arg(&folder).args(arguments).output();
        output.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    if run(WRITE, &[FILES.to_string()]).is_none() {
        println!("Pillow was not found: set ASSAY_BENCH_PYTHON to a Python that has torchvision");
        return;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    // The digests are taken before the clock starts, as a plan does; comparing them is part of every decode.
    let samples: Vec<Sample> = files
        .iter()
        .map(|file| Sample {
            path: file.display().to_string(),
            digest: blake3::hash(&std::fs::read(file).unwrap()),
            targets: Targets::class(0),
            split: Split::Whole,
            source: ImageSource::File(file.clone()),
        })
        .collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let size = Size::square(224);
    let spec = ImageSpec::new(Color::Rgb, Resize::ShorterSide, size, Filter::Bicubic, size, Vec::new());
    let input = InputSpec {
        range: Range::Unit,
        invert: false,
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    };
    let (next, total) = (AtomicUsize::new(0), FILES * ROUNDS);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= total {
                        break;
                    }
                    let picture = samples[i % FILES].picture(Color::Rgb).unwrap();
                    std::hint::black_box(input.apply(&spec.apply(&picture).unwrap().pixels.data, 3));
                }
            });
        }
    });
    let ours = total as f64 / start.elapsed().as_secs_f64();
    println!("assay: {ours:.0} images a second, {workers} workers");
    let theirs = run(READ, &[ROUNDS.to_string(), workers.to_string()]).and_then(|t| t.trim().parse::<f64>().ok());
    let _ = std::fs::remove_dir_all(&folder);
    match theirs {
        Some(theirs) => println!(
            "Pillow and torchvision: {theirs:.0} images a second, {workers} workers; ratio {:.1}",
            ours / theirs
        ),
        None => println!("torchvision was not found: set ASSAY_BENCH_PYTHON to a Python that has it"),
    }
}
