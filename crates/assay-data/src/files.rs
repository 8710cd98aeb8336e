//! The files of a dataset, wherever they lie: in a folder, or inside a zip or tar that is read in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use rayon::prelude::*;
use walkdir::WalkDir;

use crate::archive::Archive;
use crate::classes::composed;
use crate::decode::ImageError;
use crate::digests::Digests;
use crate::litter::Litter;
use crate::regular::read_regular;
use crate::source::ImageSource;

/// A file in a folder or an archive: its path inside, and where it is.
pub(crate) type Found = (String, ImageSource);

/// A list, an annotation or a table larger than this is refused.
const MAX_TEXT: u64 = 256 << 20;

/// The files under a folder or in an archive, by their path inside, with `/` between folders. Names are looked for in their
/// composed Unicode form, since lists and file systems may write them otherwise.
pub(crate) struct Files {
    source: PathBuf,
    litter: Litter,
    /// The folder inside that paths are given from; empty or ending in `/`.
    base: String,
    all: Arc<BTreeMap<String, ImageSource>>,
}

impl Files {
    /// Lists a folder, a `.zip` or a `.tar`.
    ///
    /// # Errors
    /// When it is missing, cannot be read, or is a packed file that cannot be read in place.
    pub fn open(source: &Path) -> anyhow::Result<Self> {
        let (all, litter) = list(source)?;
        let all = all.into_iter().map(|(name, place)| (composed(&name), place)).collect();
        Ok(Self { source: source.to_owned(), litter, base: String::new(), all: Arc::new(all) })
    }

    /// Gives the same files seen from the folder that holds `marker` (a file or folder inside): the one nearest to the top.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn at(&self, marker: &str) -> anyhow::Result<Self> {
        let base = |name: &str| -> Option<String> {
            let end = name.find(marker)?;
            let (before, after) = (&name[..end], &name[end + marker.len()..]);
            let is_whole = (before.is_empty() || before.ends_with('/')) && (after.is_empty() || after.starts_with('/'));
            is_whole.then(|| before.to_owned())
        };
        let bases = self.all.keys().filter_map(|name| base(name));
        let found = bases.min_by_key(|b| (b.matches('/').count(), b.clone()));
        let base = found.with_context(|| format!("{marker} is missing in {}", self.source.display()))?;
        Ok(Self { source: self.source.clone(), litter: self.litter.clone(), base, all: Arc::clone(&self.all) })
    }

    /// Gives the same files seen from a folder inside this one.
    pub fn inside(self, folder: &str) -> Self {
        Self { base: format!("{}{folder}/", self.base), ..self }
    }

    /// Tells what was passed over, if anything was.
    pub fn litter(&self) -> Option<String> {
        self.litter.detail()
    }

    /// The folder or archive.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Tells whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Finds a file, if it is there.
    pub fn get(&self, path: &str) -> Option<&ImageSource> {
        self.all.get(&composed(&format!("{}{path}", self.base)))
    }

    /// Lists the paths of the files in a folder, sorted, given as [`get`](Self::get) takes them; `folder` is empty or ends in `/`.
    pub fn under<'f>(&'f self, folder: &str) -> impl Iterator<Item = &'f str> {
        let prefix = composed(&format!("{}{folder}", self.base));
        let base = self.base.len();
        let from = self.all.range(prefix.clone()..);
        from.take_while(move |(name, _)| name.starts_with(&prefix)).map(move |(name, _)| &name[base..])
    }

    /// Gives the name of a file for messages.
    pub fn name(&self, path: &str) -> String {
        self.source.join(format!("{}{path}", self.base)).display().to_string()
    }

    /// Reads a list or an annotation.
    ///
    /// # Errors
    /// When it is missing or unreasonably large.
    pub fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let source = self.get(path).with_context(|| format!("{} is missing", self.name(path)))?;
        read(source).with_context(|| format!("reading {}", self.name(path)))
    }

    /// Reads the same as text.
    ///
    /// # Errors
    /// When it is missing, unreasonably large or not UTF-8.
    pub fn text(&self, path: &str) -> anyhow::Result<String> {
        String::from_utf8(self.bytes(path)?).with_context(|| format!("{} is not a text", self.name(path)))
    }

    /// Reads the lines of a text that are not empty, without the space around them.
    ///
    /// # Errors
    /// Those of [`text`](Self::text).
    pub fn lines(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let text = self.text(path)?;
        Ok(text
            .lines()
            .map(|l| l.trim().trim_start_matches('\u{feff}'))
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// Computes digests of the contents of some files.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn digests(&self, sources: &[&ImageSource], digests: &dyn Digests) -> anyhow::Result<Vec<blake3::Hash>> {
        content_digests(&self.source, sources, digests)
    }
}

/// Reads a small file.
pub(crate) fn read(source: &ImageSource) -> anyhow::Result<Vec<u8>> {
    match source {
        ImageSource::File(path) => read_regular(path, MAX_TEXT)?
            .with_context(|| format!("it has more than the {MAX_TEXT} bytes that are read")),
        ImageSource::Member { archive, index } => Ok(archive.read(*index)?),
        _ => bail!("it is not a file"),
    }
}

/// Version of what is remembered of members of archives; raise it when other bytes are read of the same archive.
const ARCHIVE_READER: u32 = 1;

/// Lists the files of a folder or an archive, sorted by path, without litter, which is counted.
///
/// # Errors
/// When it cannot be read, or two of its names are the same text.
pub(crate) fn list(source: &Path) -> anyhow::Result<(Vec<Found>, Litter)> {
    let mut litter = Litter::default();
    let found = if source.is_dir() { files_in(source, &mut litter)? } else { members_of(source, &mut litter)? };
    Ok((found, litter))
}

fn files_in(folder: &Path, litter: &mut Litter) -> anyhow::Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let mut unread = Vec::new();
    let inside = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_owned();
    let walk = WalkDir::new(folder).follow_links(true).into_iter();
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !litter.takes(Path::new(entry.file_name()))) {
        let entry = entry.with_context(|| format!("reading the folder {}", folder.display()))?;
        if entry.file_type().is_file() {
            let inside = inside(entry.path());
            let name = inside.to_string_lossy().replace('\\', "/");
            if inside.to_str().is_none() {
                unread.push(name.clone());
            }
            found.push((name, ImageSource::File(entry.into_path())));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    // What is not text was made text, and may now be like another.
    if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0 && unread.contains(&pair[0].0)) {
        bail!("two names in {} cannot be told apart, since they are not UTF-8: {:?}", folder.display(), pair[0].0);
    }
    Ok(found)
}

fn members_of(path: &Path, litter: &mut Litter) -> anyhow::Result<Vec<Found>> {
    let archive = Arc::new(Archive::open(path)?);
    // A member that was written again replaces the one before it, as it does when the archive is unpacked.
    let mut found = BTreeMap::new();
    for (index, name) in archive.members()? {
        if !litter.takes(Path::new(&name)) {
            found.insert(name, ImageSource::Member { archive: Arc::clone(&archive), index });
        }
    }
    Ok(found.into_iter().collect())
}

/// Computes digests of the contents of `sources`, which are all from `source`.
pub(crate) fn content_digests(
    source: &Path,
    sources: &[&ImageSource],
    digests: &dyn Digests,
) -> anyhow::Result<Vec<blake3::Hash>> {
    let of_file = |path: &Path| {
        digests.file(&source.to_string_lossy(), path).with_context(|| format!("reading {}", path.display()))
    };
    let member = |source: &&ImageSource| match source {
        ImageSource::Member { archive, index } => Some((Arc::clone(archive), *index)),
        _ => None,
    };
    let members: Vec<_> = sources.iter().filter_map(member).collect();
    if members.is_empty() {
        return sources.par_iter().map(|source| of_file(source.file().context("a file")?)).collect();
    }
    let archive_digest = of_file(source)?;
    let wanted: Vec<u8> = members.iter().flat_map(|(_, index)| (*index as u64).to_le_bytes()).collect();
    let bytes = digests.memo(
        &format!("archive members {ARCHIVE_READER}"),
        &[archive_digest.as_bytes(), &wanted],
        &mut || {
            let hashed: Result<Vec<_>, ImageError> =
                members.iter().map(|(archive, index)| Ok(*blake3::hash(&archive.read(*index)?).as_bytes())).collect();
            Ok(hashed.with_context(|| format!("reading {}", source.display()))?.concat())
        },
    )?;
    ensure!(bytes.len() == 32 * sources.len(), "the digests kept of {} are incomplete", source.display());
    Ok(bytes.chunks_exact(32).map(|c| blake3::Hash::from_bytes(c.try_into().expect("32 bytes"))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_marker_finds_the_folder_nearest_to_the_top() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["deep/er/data/list.txt", "deep/data/list.txt", "deep/data/my list.txt"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), path).unwrap();
        }
        let files = Files::open(dir.path()).unwrap();
        let inner = files.at("data/list.txt").unwrap();
        assert_eq!(inner.text("data/list.txt").unwrap(), "deep/data/list.txt");
        assert_eq!(inner.under("data/").collect::<Vec<_>>(), ["data/list.txt", "data/my list.txt"]);
        let error = files.at("list").err().unwrap().to_string();
        assert!(error.starts_with("list is missing in"), "{error}");
    }
}
