//! Folders of images, one folder a class: the layout of `torchvision.datasets.ImageFolder`; or an archive of such folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use walkdir::WalkDir;

use crate::classes::{Canon, ClassOrder, some, sort_names};
use crate::digests::Digests;
use crate::files::{Found, content_digests, list};
use crate::litter::Litter;
use crate::manifest::{Manifest, Sample, Split};
use crate::source::ImageSource;
use crate::splits::{SplitUse, split_of};
use crate::target::Targets;

/// Endings of files that are taken for images; others are passed over.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "pgm", "bmp", "tif", "tiff", "webp"];
/// Endings of pictures that are not read: classes that have such files are smaller than they look.
const OTHER_PICTURES: [&str; 22] = [
    "gif", "heic", "heif", "avif", "jxl", "jp2", "jfif", "jpe", "svg", "psd", "dng", "nef", "cr2", "arw", "exr", "hdr",
    "ico", "tga", "npy", "dcm", "pcx", "apng",
];

/// Ways of reading a folder.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// Folders of splits, which are above those of the classes; none where `root` holds the classes.
    pub splits: Vec<(String, SplitUse)>,
    /// True if a class may have no image, as with torchvision's `allow_empty`.
    pub allow_empty: bool,
}

impl FolderOptions {
    /// Names the folders of splits by the usual words; others are passed over.
    pub fn of_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let known = |word: &'w str| {
            let used_as = match split_of(word)? {
                Split::Train => SplitUse::Train,
                Split::Val => SplitUse::Val,
                _ => SplitUse::Test,
            };
            Some((word.to_owned(), used_as))
        };
        Self { splits: words.into_iter().filter_map(known).collect(), ..Self::default() }
    }
}

/// Reads `root/<class>/**/image`, or with `splits` `root/<split folder>/<class>/**/image`; `root` may be a zip or a tar. Classes are
/// the folder names, over all splits together, sorted by the rule that all readers have; samples are sorted by split, class
/// folder and path. Symbolic links are followed. Litter is passed over at every depth.
///
/// # Errors
/// When a folder is missing, cannot be read, is not named in UTF-8 or holds no image, or a class is empty.
pub fn image_folder(root: &Path, options: &FolderOptions, digests: &dyn Digests) -> anyhow::Result<Manifest> {
    let mut tree = Tree::new(root);
    let whole = [(String::new(), SplitUse::Train)];
    let splits = if options.splits.is_empty() { &whole[..] } else { &options.splits };
    let archive = if root.is_dir() { None } else { Some(Members::open(root, &options.splits, &mut tree.litter)?) };
    tree.details.extend(archive.as_ref().and_then(Members::detail));
    for (folder, used_as) in splits {
        let split = if folder.is_empty() { Some(Split::Whole) } else { used_as.split() };
        let Some(split) = split else {
            tree.details.push(format!("the folder {folder} is left out by `splits`"));
            continue;
        };
        let (files, folders) = match &archive {
            Some(members) => members.under(folder),
            None => walk(&root.join(folder), &mut tree.litter)?,
        };
        tree.add(split, folder, files, folders, options.allow_empty)?;
    }
    tree.note_other_folders(options);
    tree.manifest(digests)
}

/// A file by the parts of its path below a folder of classes.
type File = (Vec<String>, ImageSource);

/// What was found of a folder so far.
struct Tree<'r> {
    root: &'r Path,
    /// Split, class as written, name for people and place of each image.
    images: Vec<(Split, String, String, ImageSource)>,
    classes: BTreeSet<String>,
    canon: Canon,
    litter: Litter,
    /// Files of each ending that are no image, and images in no class.
    others: BTreeMap<String, usize>,
    classless: usize,
    /// Folders below classes that are called like splits, with an example.
    split_folders: BTreeMap<Split, String>,
    notes: Vec<String>,
    details: Vec<String>,
}

impl<'r> Tree<'r> {
    fn new(root: &'r Path) -> Self {
        Self {
            root,
            images: Vec::new(),
            classes: BTreeSet::new(),
            canon: Canon::default(),
            litter: Litter::default(),
            others: BTreeMap::new(),
            classless: 0,
            split_folders: BTreeMap::new(),
            notes: Vec::new(),
            details: Vec::new(),
        }
    }

    /// Adds the files of one folder of classes, and the class folders that it has.
    fn add(
        &mut self,
        split: Split,
        folder: &str,
        files: Vec<File>,
        folders: BTreeSet<String>,
        allow_empty: bool,
    ) -> anyhow::Result<()> {
        let place = if folder.is_empty() { self.root.to_owned() } else { self.root.join(folder) };
        let mut filled = BTreeSet::new();
        for (parts, source) in files {
            let (file, above) = parts.split_last().context("a file has a name")?;
            if !is_image(Path::new(file)) {
                self.note_other(file);
                continue;
            }
            let Some(class) = above.first() else {
                self.classless += 1;
                continue;
            };
            ensure!(
                !class.contains('\u{fffd}'),
                "the folder {class:?} in {} is not named in UTF-8: rename it",
                place.display()
            );
            for inner in &above[1..] {
                if let Some(kind) = split_of(inner) {
                    self.split_folders.entry(kind).or_insert_with(|| parts.join("/"));
                }
            }
            filled.insert(class.clone());
            let name = if folder.is_empty() { parts.join("/") } else { format!("{folder}/{}", parts.join("/")) };
            let class = self.canon.take(class);
            self.classes.insert(class.clone());
            self.images.push((split, class, name, source));
        }
        let empty: Vec<&String> = folders.difference(&filled).collect();
        if filled.is_empty() && empty.is_empty() && !allow_empty {
            bail!(
                "{} holds no image: expected {}/<class>/<image>, found {} folders",
                place.display(),
                place.display(),
                folders.len()
            );
        }
        if let Some(first) = empty.first() {
            ensure!(
                allow_empty,
                "the class folder {} holds no image ({}): remove it, put images there, or say `allow_empty: true`",
                place.join(first).display(),
                ENDINGS.join(", ")
            );
            let names: Vec<&str> = empty.iter().map(|name| name.as_str()).collect();
            self.details.push(format!(
                "{} class folders of {} are empty: {}",
                empty.len(),
                place.display(),
                some(&names)
            ));
            for class in empty {
                let class = self.canon.take(class);
                self.classes.insert(class);
            }
        }
        Ok(())
    }

    fn note_other(&mut self, file: &str) {
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_lowercase();
        *self.others.entry(ending).or_default() += 1;
    }

    /// Notes folders beside those of the splits, which nothing is read of.
    fn note_other_folders(&mut self, options: &FolderOptions) {
        if options.splits.is_empty() {
            return;
        }
        let named: BTreeSet<&str> = options.splits.iter().map(|(name, _)| name.as_str()).collect();
        let entries = std::fs::read_dir(self.root).into_iter().flatten().flatten();
        let folders =
            entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut unread: Vec<String> = folders
            .filter(|name| !named.contains(name.as_str()) && !Litter::default().takes(Path::new(name)))
            .collect();
        unread.sort();
        if !unread.is_empty() {
            let names: Vec<&str> = unread.iter().map(String::as_str).collect();
            self.details.push(format!("folders that `splits` does not name, and that are not read: {}", some(&names)));
        }
    }

    fn finish_notes(&mut self) {
        let pictures: Vec<String> = self
            .others
            .iter()
            .filter(|(ending, _)| OTHER_PICTURES.contains(&ending.as_str()))
            .map(|(ending, count)| format!("{count} × .{ending}"))
            .collect();
        if !pictures.is_empty() {
            self.notes.push(format!(
                "pictures with endings that folders are not read for are passed over: {}",
                pictures.join(", ")
            ));
        }
        let rest: usize = self
            .others
            .iter()
            .filter(|(ending, _)| !OTHER_PICTURES.contains(&ending.as_str()))
            .map(|(_, count)| count)
            .sum();
        if rest > 0 {
            self.details.push(format!("{rest} files that are no images are passed over"));
        }
        if self.classless > 0 {
            self.notes
                .push(format!("{} images lie beside the folders of the classes and are passed over", self.classless));
        }
        if self.split_folders.len() > 1 {
            let examples: Vec<&str> = self.split_folders.values().map(String::as_str).collect();
            self.notes.push(format!(
                "folders below the classes are called like splits ({}), and all their images are taken together",
                some(&examples)
            ));
        }
        self.notes.extend(self.canon.notes());
        self.details.extend(self.litter.detail());
    }

    fn manifest(mut self, digests: &dyn Digests) -> anyhow::Result<Manifest> {
        self.finish_notes();
        let mut classes: Vec<String> = self.classes.into_iter().collect();
        sort_names(&mut classes);
        let index: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let sources: Vec<&ImageSource> = self.images.iter().map(|image| &image.3).collect();
        let hashes = content_digests(self.root, &sources, digests)?;
        let sample =
            |((split, class, path, source), digest): (&(Split, String, String, ImageSource), blake3::Hash)| Sample {
                path: path.clone(),
                digest,
                targets: Targets::class(index[class.as_str()]),
                split: *split,
                source: source.clone(),
            };
        let samples: Vec<Sample> = self.images.iter().zip(hashes).map(sample).collect();
        ensure!(!samples.is_empty(), "{} holds no image", self.root.display());
        let (notes, details) = (self.notes, self.details);
        Ok(Manifest { samples, order: ClassOrder::Sorted, notes, details, classes, ..Manifest::default() })
    }
}

/// The files below a folder, in the order of the parts of their paths, and the folders right in it.
fn walk(folder: &Path, litter: &mut Litter) -> anyhow::Result<(Vec<File>, BTreeSet<String>)> {
    let reading = || format!("reading the folder {}", folder.display());
    // Told here, since the walk would name it without the reason.
    std::fs::read_dir(folder).with_context(reading)?;
    let (mut files, mut folders) = (Vec::new(), BTreeSet::new());
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !litter.takes(Path::new(entry.file_name()))) {
        let entry = entry.with_context(reading)?;
        if entry.file_type().is_dir() && entry.depth() == 1 {
            let name = entry.file_name();
            let name = name.to_str().with_context(|| {
                format!("the folder {name:?} in {} is not named in UTF-8: rename it", folder.display())
            })?;
            folders.insert(name.to_owned());
        } else if entry.file_type().is_file() {
            let inside = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            files.push((parts, ImageSource::File(entry.into_path())));
        }
    }
    Ok((files, folders))
}

/// The members of an archive, seen from the folder that holds those of splits or classes.
struct Members {
    all: Vec<Found>,
    base: String,
}

impl Members {
    /// Lists an archive. Its classes or splits may lie in a folder that holds everything.
    fn open(path: &Path, splits: &[(String, SplitUse)], litter: &mut Litter) -> anyhow::Result<Self> {
        let (all, passed_over) = list(path)?;
        litter.add(&passed_over);
        let mut base = String::new();
        loop {
            let parts = |name: &str| -> Option<(String, bool)> {
                let rest = name.strip_prefix(base.as_str())?;
                Some(rest.split_once('/').map_or((rest.to_owned(), false), |(first, _)| (first.to_owned(), true)))
            };
            let first: BTreeSet<(String, bool)> = all.iter().filter_map(|(name, _)| parts(name)).collect();
            let holds_split = splits.iter().any(|(split, _)| first.contains(&(split.clone(), true)));
            let Some((only, true)) = first.first().cloned().filter(|_| first.len() == 1 && !holds_split) else { break };
            base = format!("{base}{only}/");
        }
        Ok(Self { all, base })
    }

    fn detail(&self) -> Option<String> {
        (!self.base.is_empty()).then(|| format!("read from {} in the archive", self.base))
    }

    fn under(&self, folder: &str) -> (Vec<File>, BTreeSet<String>) {
        let prefix = if folder.is_empty() { self.base.clone() } else { format!("{}{folder}/", self.base) };
        let mut files: Vec<File> = Vec::new();
        for (name, source) in &self.all {
            if let Some(inside) = name.strip_prefix(&prefix) {
                files.push((inside.split('/').map(str::to_owned).collect(), source.clone()));
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let folders = files.iter().filter(|(parts, _)| parts.len() > 1).map(|(parts, _)| parts[0].clone()).collect();
        (files, folders)
    }
}

pub(crate) fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    !Litter::default().takes(path) && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digests::Direct;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.to_string_lossy().as_bytes()).unwrap();
    }

    #[test]
    fn classes_and_order_are_those_of_torchvision() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["b/2.PNG", "b/10.png", "B/x.jpg", "a/deep/er/1.webp", "a/notes.txt", "a/.hidden.png", "readme.png"]
        {
            put(dir.path(), path);
        }
        let manifest = image_folder(dir.path(), &FolderOptions::default(), &Direct).unwrap();
        assert_eq!(manifest.classes, ["B", "a", "b"]);
        let paths: Vec<_> = manifest.samples.iter().map(|s| (s.path.as_str(), s.class().unwrap())).collect();
        assert_eq!(paths, [("B/x.jpg", 0), ("a/deep/er/1.webp", 1), ("b/10.png", 2), ("b/2.PNG", 2)]);
    }

    #[test]
    fn splits_share_their_classes() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["train/b/1.png", "train/a/1.png", "test/b/1.png", "extra/c/1.png"] {
            put(dir.path(), path);
        }
        let splits = FolderOptions::of_words(["train", "test"]);
        let manifest = image_folder(dir.path(), &splits, &Direct).unwrap();
        assert_eq!(manifest.classes, ["a", "b"]);
        assert_eq!((manifest.count(Split::Train), manifest.count(Split::Test)), (2, 1));
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = |root: &Path| format!("{:#}", image_folder(root, &FolderOptions::default(), &Direct).unwrap_err());
        assert!(error(&dir.path().join("none")).contains("none"));
        assert!(error(dir.path()).contains("holds no image"));
        fs::create_dir(dir.path().join("empty")).unwrap();
        put(dir.path(), "full/1.png");
        assert!(error(dir.path()).contains("empty holds no image"));
    }
}
