//! Outputs of a classifier by name, and several right outputs for an image.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use assay_data::{Manifest, answer_lists, name_list};
use assay_engine::{Content, FramedHasher};
use serde::Serialize;

/// The outputs of a classifier that stand for the classes of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outputs {
    /// Number of outputs that the classifier has.
    pub count: u32,
    /// The output of each of the K classes of the task.
    pub of_classes: Vec<u32>,
    /// True if the other outputs take no part.
    pub subset: bool,
}

/// Right outputs of each image.
#[derive(Debug)]
pub struct Answers(pub Vec<Vec<u32>>);

/// Finds the outputs of classes by their names.
///
/// # Errors
/// When the file cannot be read, a class has no output, a name is there twice, or there are other outputs and `subset` does not say
/// what becomes of them.
pub fn of_classes(file: &Path, classes: &[String], subset: Option<bool>) -> anyhow::Result<Outputs> {
    let names = name_list(file)?;
    let mut known: HashMap<&str, u32> = HashMap::new();
    for (name, output) in names.iter().zip(0..) {
        ensure!(known.insert(name, output).is_none(), "{} names {name:?} twice", file.display());
    }
    let missing: Vec<&String> = classes.iter().filter(|name| !known.contains_key(name.as_str())).collect();
    ensure!(
        missing.is_empty(),
        "{} of the {} classes of the task are not among the {} outputs that {} names, such as {:?}; those are called {:?} \
         and so on: names are compared letter by letter",
        missing.len(),
        classes.len(),
        names.len(),
        file.display(),
        missing[0],
        names.first().map_or("", String::as_str)
    );
    ensure!(
        subset.is_some() || names.len() == classes.len(),
        "the classifier has {} outputs, and the task {} classes: say `subset: true` to choose among those of the task alone \
         (ImageNet-A, ImageNet-R), or `subset: false` to choose among all",
        names.len(),
        classes.len()
    );
    let of_classes = classes.iter().map(|name| known[name.as_str()]).collect();
    // What makes no difference is one recipe.
    let subset = subset.unwrap_or(false) || names.len() == classes.len();
    Ok(Outputs { count: u32::try_from(names.len()).context("it has too many names")?, of_classes, subset })
}

/// Images that have a right output, with these: each image is the one with the number that its name ends in, from 1.
///
/// # Errors
/// When the file cannot be read, or an image has no number in its list.
pub fn answers(file: &Path, manifest: &Manifest, samples: &[u32]) -> anyhow::Result<(Vec<u32>, Content<Answers>)> {
    let lists = answer_lists(file)?;
    let (mut kept, mut found) = (Vec::new(), Vec::new());
    for sample in samples {
        let path = &manifest.samples[*sample as usize].path;
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number: usize =
            stem[stem.len() - digits..].parse().ok().filter(|number| *number > 0).with_context(|| {
                format!("the name of {path} does not end in a number from 1 on, by which its answers are found")
            })?;
        let list = lists.get(number - 1);
        let list =
            list.with_context(|| format!("{path} has number {number}, and {} has {}", file.display(), lists.len()))?;
        if !list.is_empty() {
            kept.push(*sample);
            found.push(list.clone());
        }
    }
    ensure!(!kept.is_empty(), "no image has a right answer in {}", file.display());
    let mut hasher = FramedHasher::new("answers");
    for list in &found {
        hasher.field(&list.iter().flat_map(|output| output.to_le_bytes()).collect::<Vec<u8>>());
    }
    Ok((kept, Content::new(hasher.finish(), Arc::new(Answers(found)))))
}

#[cfg(test)]
mod tests {
    use assay_data::{ImageSource, Sample, Split, Targets};

    use super::*;

    #[test]
    fn outputs_are_found_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("outputs.txt");
        let of = |outputs: &str, classes: &[&str], subset| {
            std::fs::write(&file, outputs).unwrap();
            let classes: Vec<String> = classes.iter().map(|name| (*name).to_owned()).collect();
            of_classes(&file, &classes, subset).map_err(|error| error.to_string())
        };
        let outputs =
            |count, of_classes: &[u32], subset| Ok(Outputs { count, of_classes: of_classes.to_vec(), subset });
        assert_eq!(of("b\na\n", &["a", "b"], None), outputs(2, &[1, 0], true));
        assert_eq!(of("b\na\n", &["a", "b"], Some(false)), outputs(2, &[1, 0], true), "there are no others");
        assert_eq!(of("c\nb\na\n", &["a", "b"], Some(true)), outputs(3, &[2, 1], true));
        assert_eq!(of("c\nb\na\n", &["a", "b"], Some(false)), outputs(3, &[2, 1], false));
        for (names, classes, said) in [
            ("c\nb\na\n", &["a", "b"][..], "3 outputs, and the task 2 classes: say `subset: true`"),
            ("a\nb\n", &["a", "c"], "1 of the 2 classes of the task are not among the 2 outputs"),
            ("a\nb\na\n", &["a", "b"], "names \"a\" twice"),
        ] {
            let error = of(names, classes, None).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn answers_are_found_by_the_number_of_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("real.json");
        std::fs::write(&file, "[[7, 1], [], [2]]").unwrap();
        let manifest = |names: &[&str]| {
            let sample = |name: &&str| Sample {
                path: format!("n01440764/{name}"),
                digest: blake3::hash(name.as_bytes()),
                targets: Targets::class(0),
                split: Split::Test,
                source: ImageSource::File(name.into()),
            };
            Manifest { samples: names.iter().map(sample).collect(), ..Manifest::default() }
        };
        let images = ["ILSVRC2012_val_00000003.JPEG", "ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000001.JPEG"];
        let (kept, found) = answers(&file, &manifest(&images), &[0, 1, 2]).unwrap();
        assert_eq!((kept, &found.value().0), (vec![0, 2], &vec![vec![2], vec![7, 1]]));
        for (name, said) in
            [("a_4.png", "has number 4, and"), ("a.png", "does not end in a number"), ("a_0.png", "does not end")]
        {
            let error = answers(&file, &manifest(&[name]), &[0]).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
        assert!(answers(&file, &manifest(&images[1..2]), &[0]).is_err(), "no image is left");
    }
}
