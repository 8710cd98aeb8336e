//! Omniglot (Lake, Salakhutdinov, Tenenbaum 2015) as its authors distribute it: zip files, or the folders unpacked from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::digests::Digests;
use crate::files::{Found, content_digests, list, read};
use crate::folder::is_image;
use crate::manifest::{Manifest, OfficialEpisode, Sample, Split};
use crate::source::ImageSource;
use crate::target::Targets;

/// Reads `<alphabet>/<character>/<drawing>.png` from each of `sources`; every character is a class, called
/// `alphabet/character`. A drawing that several sources have counts once.
///
/// # Errors
/// When a source cannot be read, holds no drawing, or two of them disagree about one.
pub fn omniglot(sources: &[PathBuf], digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut drawings: BTreeMap<(String, String), (blake3::Hash, ImageSource)> = BTreeMap::new();
    for source in sources {
        let (mut files, _) = list(source)?;
        files.retain(|(name, _)| is_image(Path::new(name)) && name.split('/').count() >= 3);
        ensure!(!files.is_empty(), "{} holds no <alphabet>/<character>/<drawing>.png", source.display());
        let hashes = content_digests(source, &sources_of(&files), digests)?;
        for ((name, image), digest) in files.into_iter().zip(hashes) {
            let parts: Vec<&str> = name.rsplitn(4, '/').collect();
            let key = (format!("{}/{}", parts[2], parts[1]), parts[0].to_owned());
            if let Some((known, _)) = drawings.get(&key) {
                ensure!(
                    *known == digest,
                    "{name} in {} differs from the drawing of the same name in another source",
                    source.display()
                );
                continue;
            }
            drawings.insert(key, (digest, image));
        }
    }
    let mut classes: Vec<String> = drawings.keys().map(|k| k.0.clone()).collect();
    classes.dedup();
    let samples = drawings
        .into_iter()
        .map(|((class, file), (digest, source))| {
            let index = classes.binary_search(&class).expect("every class is in the list") as u32;
            Sample {
                path: format!("{class}/{file}"),
                digest,
                targets: Targets::class(index),
                split: Split::Whole,
                source,
            }
        })
        .collect();
    Ok(Manifest { classes, samples, ..Manifest::default() })
}

/// Reads the official one-shot classification runs (`all_runs.zip`, or the folder): in each `runNN` twenty training images, one
/// of each class, and twenty test images, with the right answers in `class_labels.txt`. Each run is one official episode.
///
/// # Errors
/// When the source cannot be read, a run is incomplete, or its label file does not fit its images.
pub fn omniglot_runs(source: &Path, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let (files, _) = list(source)?;
    let labels: Vec<&Found> =
        files.iter().filter(|(name, _)| name.ends_with("/class_labels.txt") || name == "class_labels.txt").collect();
    ensure!(!labels.is_empty(), "{} holds no <run>/class_labels.txt", source.display());
    let images: Vec<Found> = files.iter().filter(|(name, _)| is_image(Path::new(name))).cloned().collect();
    let hashes = content_digests(source, &sources_of(&images), digests)?;
    let mut manifest = Manifest::default();
    for (name, list) in labels {
        let folder = name.strip_suffix("class_labels.txt").unwrap_or_default();
        let text = read(list)
            .and_then(|bytes| Ok(String::from_utf8(bytes)?))
            .with_context(|| format!("reading {name} in {}", source.display()))?;
        add_run(&mut manifest, folder, &text, &images, &hashes)
            .with_context(|| format!("{name} in {}", source.display()))?;
    }
    Ok(manifest)
}

fn sources_of(files: &[Found]) -> Vec<&ImageSource> {
    files.iter().map(|(_, source)| source).collect()
}

/// `folder` is where the label file is, `…/run01/`; its lines are `run01/test/item01.png run01/training/class10.png`.
fn add_run(
    manifest: &mut Manifest,
    folder: &str,
    labels: &str,
    images: &[Found],
    hashes: &[blake3::Hash],
) -> anyhow::Result<()> {
    let run = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let above = folder.strip_suffix(&format!("{run}/")).unwrap_or_default();
    let find = |written: &str| {
        let path = format!("{above}{}", written.replace('\\', "/"));
        images
            .binary_search_by(|i| i.0.as_str().cmp(&path))
            .map_err(|_| anyhow::anyhow!("it names {path}, which does not exist"))
    };
    let pairs = labels
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (query, support) = line
                .trim()
                .split_once(char::is_whitespace)
                .with_context(|| format!("a line with two file names was expected, found {line:?}"))?;
            Ok((find(query.trim())?, find(support.trim())?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let training = format!("{folder}training/");
    let supports: Vec<usize> = (0..images.len()).filter(|i| images[*i].0.starts_with(&training)).collect();
    ensure!(!supports.is_empty(), "there is no image in {training}");
    let mut episode = OfficialEpisode { support: Vec::new(), queries: Vec::new() };
    let first_class = manifest.classes.len() as u32;
    let mut add = |at: usize, class: u32| {
        let (path, source) = &images[at];
        manifest.samples.push(Sample {
            path: path.clone(),
            digest: hashes[at],
            targets: Targets::class(class),
            split: Split::Whole,
            source: source.clone(),
        });
        manifest.samples.len() as u32 - 1
    };
    for (way, at) in supports.iter().enumerate() {
        episode.support.push(vec![add(*at, first_class + way as u32)]);
    }
    for (query, support) in pairs {
        let way = supports
            .iter()
            .position(|s| *s == support)
            .with_context(|| format!("{} is no training image", images[support].0))? as u32;
        episode.queries.push((add(query, first_class + way), way));
    }
    for at in supports {
        let name = Path::new(&images[at].0).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        manifest.classes.push(format!("{run}/{name}"));
    }
    manifest.official.push(episode);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::digests::Direct;

    fn put(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Packs a folder as the official zips are packed.
    fn pack(root: &Path, zip: &Path) {
        let mut writer = zip::ZipWriter::new(fs::File::create(zip).unwrap());
        for (name, source) in list(root).unwrap().0 {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&fs::read(source.file().unwrap()).unwrap()).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn folders_and_zips_give_the_same_and_a_drawing_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        for (path, content) in
            [("images/Greek/character02/0002_01.png", "a"), ("images/Greek/character01/0001_01.png", "b")]
        {
            put(&one, path, content);
        }
        put(&two, "Greek/character01/0001_01.png", "b");
        put(&two, "Latin/character01/0900_07.png", "c");
        let folders = omniglot(&[one.clone(), two.clone()], &Direct).unwrap();
        assert_eq!(folders.classes, ["Greek/character01", "Greek/character02", "Latin/character01"]);
        assert_eq!(folders.samples.len(), 3);
        let zip = dir.path().join("one.zip");
        pack(&one, &zip);
        assert_eq!(omniglot(&[zip, two.clone()], &Direct).unwrap().digest(), folders.digest());
        put(&two, "Greek/character01/0001_01.png", "other");
        assert!(omniglot(&[one, two], &Direct).unwrap_err().to_string().contains("differs from the drawing"));
    }

    #[test]
    fn runs_pair_each_query_with_its_way() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("all_runs");
        for name in ["training/class01.png", "training/class02.png", "test/item01.png", "test/item02.png"] {
            put(&root, &format!("run01/{name}"), name);
        }
        put(
            &root,
            "run01/class_labels.txt",
            "run01/test/item01.png run01/training/class02.png\nrun01/test/item02.png run01/training/class01.png\n",
        );
        let manifest = omniglot_runs(&root, &Direct).unwrap();
        assert_eq!(manifest.classes, ["run01/class01", "run01/class02"]);
        let OfficialEpisode { support, queries } = &manifest.official[0];
        assert_eq!((support.len(), queries.iter().map(|q| q.1).collect::<Vec<_>>()), (2, vec![1, 0]));
        let zip = dir.path().join("runs.zip");
        pack(&root, &zip);
        assert_eq!(omniglot_runs(&zip, &Direct).unwrap().digest(), manifest.digest());
        put(&root, "run01/class_labels.txt", "run01/test/item09.png run01/training/class02.png\n");
        assert!(
            format!("{:#}", omniglot_runs(&root, &Direct).unwrap_err()).contains("item09.png, which does not exist")
        );
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "x.zip", "not a zip");
        let error = format!("{:#}", omniglot(&[dir.path().join("x.zip")], &Direct).unwrap_err());
        assert!(error.contains("x.zip is not a zip file"), "{error}");
        fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(
            omniglot(&[dir.path().join("empty")], &Direct).unwrap_err().to_string().contains("holds no <alphabet>")
        );
    }
}
