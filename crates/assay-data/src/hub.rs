//! The local cache of the Hugging Face hub, as `huggingface_hub` lays it out:
//! `<cache>/{models,datasets}--org--name/{refs,snapshots,blobs}`.
//!
//! It is read and never written, and nothing is downloaded. Where the cache is depends on variables that the caller hands in.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use walkdir::WalkDir;

use crate::regular::read_regular;

/// Kind of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RepoKind {
    /// Weights and their configuration.
    Model,
    /// Images and their labels.
    Dataset,
}

impl RepoKind {
    fn folder_prefix(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

/// Writes the kind as the option of `hf download` that means it.
impl fmt::Display for RepoKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        })
    }
}

/// The folder of a cache, which need not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubCache {
    root: Option<PathBuf>,
}

/// One commit of a repository, as far as it has been downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Folder with its files, most of them links to blobs of the same cache.
    pub folder: PathBuf,
    /// The commit: 40 hexadecimal digits.
    pub commit: String,
    /// The folder of the cache without links, which no file may lead out of.
    cache: PathBuf,
}

/// Revision that is meant where none is given.
const DEFAULT_REVISION: &str = "main";
/// Most bytes of a file that names a commit.
const MAX_REF_BYTES: u64 = 1 << 10;
/// Most files that a snapshot may have.
const MAX_FILES: usize = 10_000_000;

impl HubCache {
    /// Makes the cache of this folder.
    pub fn new(root: PathBuf) -> Self {
        Self { root: Some(root) }
    }

    /// Makes the cache that `huggingface_hub` would use with these variables: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else
    /// `hub` in `HF_HOME`, else in `huggingface` in `XDG_CACHE_HOME`, else in `.cache/huggingface` of the home folder. A variable
    /// that is empty counts as absent; `~` stands for the home folder.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>, home: Option<&Path>) -> Self {
        let path = |name: &str| -> Option<PathBuf> {
            let text = variable(name).filter(|text| !text.is_empty())?;
            match text.strip_prefix('~') {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    Some(home?.join(rest.trim_start_matches('/')))
                }
                _ => Some(text.into()),
            }
        };
        let caches = || path("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")));
        let hub_home = || path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let root = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        Self { root: root.or_else(|| Some(hub_home()?.join("hub"))) }
    }

    /// Finds a repository, `org/name` or `name`, at a revision: a branch, a tag, a name such as `refs/convert/parquet`, or a whole
    /// commit; without one, at `main`.
    ///
    /// # Errors
    /// When a name is none, the repository or the revision is not in the cache, or the cache is damaged.
    pub fn find(&self, kind: RepoKind, repo: &str, revision: Option<&str>) -> anyhow::Result<Snapshot> {
        check_repo(repo)?;
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        check_revision(revision)?;
        let root = self.root.as_deref().context(
            "there is no home folder to look for the cache of the Hugging Face hub in: set HF_HUB_CACHE to its folder",
        )?;
        let option = if kind == RepoKind::Dataset { " --repo-type dataset" } else { "" };
        let named = if revision == DEFAULT_REVISION { String::new() } else { format!(" --revision {revision}") };
        let command = format!("hf download {repo}{option}{named}");
        let folder = root.join(format!("{}--{}", kind.folder_prefix(), repo.replace('/', "--")));
        ensure!(
            folder.is_dir(),
            "the {kind} {repo} is not in the cache of the Hugging Face hub, {}: `{command}` puts it there (nothing is downloaded \
             here); HF_HUB_CACHE names another folder",
            root.display()
        );
        let commit = commit_of(&folder, revision)?;
        let found = commit.as_ref().map(|commit| folder.join("snapshots").join(commit)).filter(|place| place.is_dir());
        let (Some(commit), Some(snapshot)) = (commit, found) else {
            bail!(
                "revision {revision:?} of the {kind} {repo} is not in {}; there are {}: `{command}` puts it there",
                folder.display(),
                revisions(&folder)
            );
        };
        let cache = root.canonicalize().with_context(|| format!("reading {}", root.display()))?;
        Ok(Snapshot { folder: snapshot, commit, cache })
    }
}

impl Snapshot {
    /// Lists its files, sorted, by their path inside, after looking that each is there and is in the cache.
    ///
    /// # Errors
    /// When a link leads nowhere, to a folder or out of the cache, or the folder cannot be read.
    pub fn files(&self) -> anyhow::Result<Vec<(String, PathBuf)>> {
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.folder).sort_by_file_name() {
            let entry = entry.with_context(|| format!("reading the folder {}", self.folder.display()))?;
            if entry.file_type().is_dir() {
                continue;
            }
            ensure!(files.len() < MAX_FILES, "{} has more than {MAX_FILES} files", self.folder.display());
            self.check(entry.path())?;
            let inside = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path());
            let name = inside.to_str().with_context(|| format!("the name {} is not UTF-8", inside.display()))?;
            files.push((name.replace('\\', "/"), entry.into_path()));
        }
        Ok(files)
    }

    /// Finds a file by its path inside; `None` where it has not been downloaded or there is none.
    ///
    /// # Errors
    /// When the path or its link leads out of the cache, or to something else than a file.
    pub fn file(&self, name: &str) -> anyhow::Result<Option<PathBuf>> {
        let stays = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(stays && !name.is_empty(), "{name:?} is no path of a file of a repository");
        let place = self.folder.join(name);
        if place.symlink_metadata().is_err() {
            return Ok(None);
        }
        self.check(&place)?;
        Ok(Some(place))
    }

    fn check(&self, place: &Path) -> anyhow::Result<()> {
        let real = place.canonicalize().with_context(|| {
            format!("the file {} of the cache leads nowhere: download it again, its content is gone", place.display())
        })?;
        ensure!(
            real.starts_with(&self.cache),
            "{} leads to {}, which is outside of the cache {}",
            place.display(),
            real.display(),
            self.cache.display()
        );
        ensure!(real.is_file(), "{} is not a file", place.display());
        Ok(())
    }
}

fn check_repo(repo: &str) -> anyhow::Result<()> {
    let is_name = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && part.chars().all(known) && !part.starts_with(['.', '-']) && !part.contains("..")
    };
    let parts: Vec<&str> = repo.split('/').collect();
    ensure!(
        repo.len() <= 96 && parts.len() <= 2 && parts.iter().all(|part| is_name(part)) && !repo.contains("--"),
        "{repo:?} is no name of a repository: expected \"org/name\""
    );
    Ok(())
}

fn check_revision(revision: &str) -> anyhow::Result<()> {
    let stays = Path::new(revision).components().all(|part| matches!(part, Component::Normal(_)));
    let is_plain = !revision.is_empty() && revision.len() <= 250 && !revision.contains(['\\', '\0']);
    ensure!(stays && is_plain, "{revision:?} is no revision: expected a branch, a tag or a commit");
    Ok(())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The commit that a revision means, if the cache knows it.
fn commit_of(folder: &Path, revision: &str) -> anyhow::Result<Option<String>> {
    if is_commit(revision) {
        return Ok(Some(revision.to_owned()));
    }
    let place = folder.join("refs").join(revision);
    if !place.is_file() {
        return Ok(None);
    }
    let bytes = read_regular(&place, MAX_REF_BYTES).with_context(|| format!("reading {}", place.display()))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map(|text| text.trim().to_owned());
    let commit = text.filter(|text| is_commit(text));
    Ok(Some(commit.with_context(|| format!("{} does not name a commit", place.display()))?))
}

/// The revisions that a repository has in the cache, for messages.
fn revisions(folder: &Path) -> String {
    let mut names: Vec<String> = Vec::new();
    let refs = folder.join("refs");
    for entry in WalkDir::new(&refs).sort_by_file_name().into_iter().flatten().filter(|e| e.file_type().is_file()) {
        let name = entry.path().strip_prefix(&refs).unwrap_or(entry.path()).to_string_lossy().replace('\\', "/");
        names.push(format!("{name:?}"));
    }
    let snapshots = WalkDir::new(folder.join("snapshots")).min_depth(1).max_depth(1).sort_by_file_name();
    names.extend(snapshots.into_iter().flatten().map(|entry| format!("{:?}", entry.file_name().to_string_lossy())));
    if names.is_empty() { "none".to_owned() } else { names.into_iter().take(8).collect::<Vec<_>>().join(", ") }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn put(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A cache with one dataset, whose one file is a link as `huggingface_hub` makes it.
    fn cache(root: &Path) -> HubCache {
        let repo = root.join("datasets--org--name");
        put(repo.join("blobs/abc"), "content");
        put(repo.join("refs/main"), COMMIT);
        put(repo.join("refs/refs/convert/parquet"), &format!("{COMMIT}\n"));
        fs::create_dir_all(repo.join("snapshots").join(COMMIT).join("data")).unwrap();
        symlink("../../../blobs/abc", repo.join("snapshots").join(COMMIT).join("data/a.txt")).unwrap();
        HubCache::new(root.to_owned())
    }

    #[test]
    fn the_folder_is_the_one_that_the_library_takes() {
        let at = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            let found = HubCache::from_variables(value, Some(Path::new("/home/me"))).root;
            found.map(|path| path.display().to_string()).unwrap_or_default()
        };
        let all =
            [("HF_HUB_CACHE", "/a"), ("HUGGINGFACE_HUB_CACHE", "/b"), ("HF_HOME", "~/c"), ("XDG_CACHE_HOME", "/d")];
        let expected = ["/a", "/b", "/home/me/c/hub", "/d/huggingface/hub", "/home/me/.cache/huggingface/hub"];
        for (first, expected) in expected.iter().enumerate() {
            assert_eq!(at(&all[first..]), *expected);
        }
        assert_eq!(at(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/c")]), "/c/hub");
        assert_eq!(HubCache::from_variables(|_| None, None), HubCache::default());
    }

    #[test]
    fn a_branch_a_ref_and_a_commit_lead_to_the_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        for revision in [None, Some("main"), Some("refs/convert/parquet"), Some(COMMIT)] {
            let snapshot = cache.find(RepoKind::Dataset, "org/name", revision).unwrap();
            assert_eq!(snapshot.commit, COMMIT);
            let files = snapshot.files().unwrap();
            assert_eq!(files.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["data/a.txt"]);
            assert_eq!(fs::read_to_string(&files[0].1).unwrap(), "content");
            assert_eq!(snapshot.file("data/a.txt").unwrap(), Some(files[0].1.clone()));
            assert_eq!(snapshot.file("b.txt").unwrap(), None);
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        let other = "f".repeat(40);
        for (kind, repo, revision, told) in [
            (RepoKind::Model, "org/name", None, "hf download org/name` puts it there"),
            (RepoKind::Dataset, "other/name", None, "hf download other/name --repo-type dataset`"),
            (RepoKind::Dataset, "org/name", Some("v2"), "there are \"main\", \"refs/convert/parquet\", \"0123"),
            (RepoKind::Dataset, "org/name", Some(other.as_str()), "--revision ffff"),
            (RepoKind::Dataset, "org/name", Some("../refs/main"), "no revision"),
            (RepoKind::Dataset, "org/name", Some("/etc/passwd"), "no revision"),
            (RepoKind::Dataset, "../name", None, "no name of a repository"),
            (RepoKind::Dataset, "a/b/c", None, "no name of a repository"),
            (RepoKind::Dataset, "a--b", None, "no name of a repository"),
        ] {
            let error = format!("{:#}", cache.find(kind, repo, revision).unwrap_err());
            assert!(error.contains(told), "{error}");
        }
        put(dir.path().join("datasets--org--name/refs/bad"), "../../../../etc");
        let error = format!("{:#}", cache.find(RepoKind::Dataset, "org/name", Some("bad")).unwrap_err());
        assert!(error.contains("does not name a commit"), "{error}");
    }

    #[test]
    fn links_out_of_the_cache_and_links_to_nothing_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir.path().join("hub"));
        put(dir.path().join("secret.txt"), "secret");
        let snapshot = cache.find(RepoKind::Dataset, "org/name", None).unwrap();
        for (target, told) in [
            ("../../../../secret.txt", "outside of the cache"),
            ("/etc", "outside of the cache"),
            ("../../blobs", "is not a file"),
            ("../../blobs/gone", "leads nowhere"),
        ] {
            let link = snapshot.folder.join("link");
            symlink(target, &link).unwrap();
            for error in [snapshot.files().unwrap_err(), snapshot.file("link").unwrap_err()] {
                assert!(format!("{error:#}").contains(told), "{target}: {error:#}");
            }
            fs::remove_file(link).unwrap();
        }
        assert!(snapshot.file("../refs/main").is_err());
    }
}
