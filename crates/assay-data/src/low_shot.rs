//! Lists of images, one name a line, as benchmarks with few training images publish them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;

use crate::classes::{composed, some};
use crate::manifest::{Manifest, OfficialEpisode, Split};

impl Manifest {
    /// Keeps, of each split that the list names images of, these alone; other splits stay whole. A name is a path below the root,
    /// or the end of one, such as the name of the file alone; what follows it after a space or a tab, a label for instance, is
    /// passed over. Warns of classes that lose all their images.
    ///
    /// # Errors
    /// When the list is empty, or a name is none of the samples or several of them.
    pub fn keep_listed(mut self, list: &str) -> anyhow::Result<Self> {
        let lines: Vec<&str> =
            list.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        ensure!(!lines.is_empty(), "the list names no image");
        let (paths, found) = {
            let paths: Vec<String> = self.samples.iter().map(|sample| composed(&sample.path)).collect();
            let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (i, path) in paths.iter().enumerate() {
                by_file.entry(path.rsplit('/').next().unwrap_or(path)).or_default().push(i);
            }
            let found: Vec<Vec<usize>> = lines.iter().map(|line| named(line, &paths, &by_file)).collect();
            (paths.len(), found)
        };
        let absent: Vec<&str> = lines.iter().zip(&found).filter(|(_, f)| f.is_empty()).map(|(line, _)| *line).collect();
        ensure!(
            absent.is_empty(),
            "{} of the {} images of the list are none of the {paths} of the dataset: {}",
            absent.len(),
            lines.len(),
            some(&absent)
        );
        if let Some((line, several)) = lines.iter().zip(&found).find(|(_, f)| f.len() > 1) {
            let places: Vec<&str> = several.iter().map(|i| self.samples[*i].path.as_str()).collect();
            anyhow::bail!("{line:?} of the list is several images of the dataset: {}", some(&places));
        }
        let kept: BTreeSet<usize> = found.into_iter().flatten().collect();
        let splits: BTreeSet<Split> = kept.iter().map(|i| self.samples[*i].split).collect();
        let classes = |manifest: &Self, split: Split| -> BTreeSet<u32> {
            manifest.samples.iter().filter(|s| s.split == split).filter_map(|s| s.class()).collect()
        };
        let before: Vec<(Split, BTreeSet<u32>)> = splits.iter().map(|split| (*split, classes(&self, *split))).collect();
        let whole = self.samples.len();
        let mut at = 0;
        self.samples.retain(|sample| {
            at += 1;
            !splits.contains(&sample.split) || kept.contains(&(at - 1))
        });
        for (split, before) in before {
            let left = classes(&self, split);
            let lost: Vec<&str> =
                before.difference(&left).map(|class| self.classes[*class as usize].as_str()).collect();
            if !lost.is_empty() {
                let of = before.len();
                self.notes.push(format!(
                    "the list leaves {} of {of} classes without an image in {split:?}: {}",
                    lost.len(),
                    some(&lost)
                ));
            }
        }
        if self.samples.len() < whole {
            self.official = Vec::<OfficialEpisode>::new();
        }
        self.details.push(format!("a list of {} images keeps {} of {whole}", lines.len(), self.samples.len()));
        Ok(self)
    }
}

/// The samples that a line names.
fn named(line: &str, paths: &[String], by_file: &BTreeMap<&str, Vec<usize>>) -> Vec<usize> {
    let whole = composed(line);
    let shorter = line.rsplit_once([' ', '\t', ',']).map(|(name, _)| composed(name.trim()));
    for name in std::iter::once(whole).chain(shorter) {
        let name = name.trim_start_matches("./").trim_start_matches('/').replace('\\', "/");
        let end = format!("/{name}");
        let candidates = by_file.get(name.rsplit('/').next().unwrap_or(&name));
        let fits = |i: &&usize| paths[**i] == name || paths[**i].ends_with(&end);
        let fitting: Vec<usize> = candidates.into_iter().flatten().filter(fits).copied().collect();
        let exact: Vec<usize> = fitting.iter().copied().filter(|i| paths[*i] == name).collect();
        if !fitting.is_empty() {
            return if exact.is_empty() { fitting } else { exact };
        }
    }
    Vec::new()
}
