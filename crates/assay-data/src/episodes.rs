//! Few-shot episodes: which samples are shown and which are asked for, the same for every model.

use assay_stats::Stream;

use crate::manifest::Manifest;

/// Rules of drawing episodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeShape {
    /// Classes in an episode.
    pub ways: u32,
    /// Support images of each class.
    pub shots: u32,
    /// Query images of each class.
    pub queries: u32,
    /// Number of episodes.
    pub episodes: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// True if classes with fewer than shots + queries images are left out, instead of refused.
    pub skip_small_classes: bool,
}

/// Drawn episodes; all have the same shape. Numbers are indices into the manifest's samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episodes {
    /// Classes in an episode.
    pub ways: usize,
    /// Support images of each class.
    pub shots: usize,
    /// episodes × ways × shots.
    pub support: Vec<u32>,
    /// episodes × queries.
    pub queries: Vec<u32>,
    /// The right way of each query, from 0.
    pub query_ways: Vec<u32>,
}

/// Why episodes cannot be drawn.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EpisodeError {
    /// Fewer classes than ways.
    #[error("{want} classes are needed for an episode, and there are {have}")]
    TooFewClasses {
        /// Classes that are large enough.
        have: usize,
        /// Ways.
        want: u32,
    },
    /// Classes with too few images.
    #[error("an episode needs {want} images of a class, and {} too few: {}", counted(*count), names.join(", "))]
    SmallClasses {
        /// Shots plus queries.
        want: u32,
        /// Number of classes that are too small.
        count: usize,
        /// The first few of them, with their sizes.
        names: Vec<String>,
    },
    /// The dataset brings no episodes of its own.
    #[error("this dataset has no official episodes; give `episodes` a number")]
    NoneOfficial,
    /// The dataset's own episodes are not all alike.
    #[error("official episode {0} has another shape than the first")]
    Uneven(usize),
}

fn counted(n: usize) -> String {
    if n == 1 { "one class has".to_owned() } else { format!("{n} classes have") }
}

/// The fault of a list of episodes that cannot be one of these samples.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the list of episodes is damaged: {0}")]
pub struct DamagedEpisodes(String);

impl Episodes {
    /// Counts the episodes.
    pub fn len(&self) -> usize {
        self.support.len() / self.ways.saturating_mul(self.shots).max(1)
    }

    /// Looks at a list that was read back: whether its parts fit each other, and every number one of `samples` samples.
    ///
    /// # Errors
    /// When they do not.
    pub fn validate(&self, samples: usize) -> Result<(), DamagedEpisodes> {
        let damaged = |what: String| Err(DamagedEpisodes(what));
        let Self { ways, shots, support, queries, query_ways } = self;
        let Some(each) = ways.checked_mul(*shots).filter(|each| *each > 0) else {
            return damaged(format!("{ways} ways of {shots} shots"));
        };
        if support.len() % each != 0 {
            return damaged(format!(
                "{} support images are no episodes of {ways} ways and {shots} shots",
                support.len()
            ));
        }
        let count = support.len() / each;
        if queries.len() != query_ways.len() || (count == 0) != queries.is_empty() || queries.len() % count.max(1) != 0
        {
            let (asked, answers) = (queries.len(), query_ways.len());
            return damaged(format!("{asked} queries with {answers} answers for {count} episodes"));
        }
        if let Some(sample) = support.iter().chain(queries).find(|s| **s as usize >= samples) {
            return damaged(format!("it names sample {sample}, and there are {samples}"));
        }
        match query_ways.iter().find(|way| **way as usize >= *ways) {
            Some(way) => damaged(format!("it names way {way}, and there are {ways}")),
            None => Ok(()),
        }
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.support.is_empty()
    }

    /// Counts the queries of an episode.
    pub fn queries_each(&self) -> usize {
        self.queries.len() / self.len().max(1)
    }

    /// Looks whether episodes of this shape can be drawn; draws none.
    ///
    /// # Errors
    /// When there are too few classes, or images in a class.
    pub fn check(manifest: &Manifest, shape: &EpisodeShape) -> Result<(), EpisodeError> {
        large_classes(manifest, shape).map(|_| ())
    }

    /// Draws episodes: `ways` different classes, uniformly; of each `shots + queries` different images, uniformly.
    ///
    /// # Errors
    /// When there are too few classes, or images in a class.
    pub fn draw(manifest: &Manifest, shape: &EpisodeShape) -> Result<Self, EpisodeError> {
        let mut large = large_classes(manifest, shape)?;
        let each = shape.shots + shape.queries;
        let mut stream = Stream::new("episodes", &[shape.seed]);
        let mut order: Vec<usize> = (0..large.len()).collect();
        let (ways, shots) = (shape.ways as usize, shape.shots as usize);
        let mut drawn = Self { ways, shots, support: Vec::new(), queries: Vec::new(), query_ways: Vec::new() };
        for _ in 0..shape.episodes {
            for (way, class) in stream.choose(&mut order, ways).into_iter().enumerate() {
                let images = stream.choose(&mut large[class], each as usize);
                drawn.support.extend(&images[..shots]);
                drawn.queries.extend(&images[shots..]);
                drawn.query_ways.extend(std::iter::repeat_n(way as u32, images.len() - shots));
            }
        }
        Ok(drawn)
    }

    /// Takes the episodes that the dataset brings along.
    ///
    /// # Errors
    /// When there are none, or they are not all alike.
    pub fn official(manifest: &Manifest) -> Result<Self, EpisodeError> {
        let first = manifest.official.first().ok_or(EpisodeError::NoneOfficial)?;
        let (ways, queries) = (first.support.len(), first.queries.len());
        let shots = first.support.first().map_or(0, Vec::len);
        let mut all = Self { ways, shots, support: Vec::new(), queries: Vec::new(), query_ways: Vec::new() };
        for (i, episode) in manifest.official.iter().enumerate() {
            let even = episode.support.len() == ways
                && episode.queries.len() == queries
                && episode.support.iter().all(|s| s.len() == shots);
            if !even || shots == 0 || queries == 0 {
                return Err(EpisodeError::Uneven(i + 1));
            }
            all.support.extend(episode.support.iter().flatten());
            all.queries.extend(episode.queries.iter().map(|q| q.0));
            all.query_ways.extend(episode.queries.iter().map(|q| q.1));
        }
        Ok(all)
    }
}

/// Lists the samples of each class that is large enough.
fn large_classes(manifest: &Manifest, shape: &EpisodeShape) -> Result<Vec<Vec<u32>>, EpisodeError> {
    let lists = manifest.by_class();
    let each = shape.shots + shape.queries;
    let small: Vec<usize> =
        (0..lists.len()).filter(|c| !lists[*c].is_empty() && lists[*c].len() < each as usize).collect();
    if !small.is_empty() && !shape.skip_small_classes {
        let names = small.iter().take(5).map(|c| format!("{} ({})", manifest.classes[*c], lists[*c].len())).collect();
        return Err(EpisodeError::SmallClasses { want: each, count: small.len(), names });
    }
    let large: Vec<Vec<u32>> = lists.into_iter().filter(|l| l.len() >= each as usize).collect();
    if large.len() < shape.ways as usize {
        return Err(EpisodeError::TooFewClasses { have: large.len(), want: shape.ways });
    }
    Ok(large)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::glyphs::Glyphs;

    fn manifest() -> Manifest {
        Glyphs { alphabets: 2, characters: 5, drawers: 6, test_drawers: 0, seed: 0, side_px: 28 }.manifest()
    }

    fn shape() -> EpisodeShape {
        EpisodeShape { ways: 4, shots: 2, queries: 3, episodes: 50, seed: 1, skip_small_classes: false }
    }

    #[test]
    fn an_episode_is_made_of_different_classes_and_images() {
        let manifest = manifest();
        let episodes = Episodes::draw(&manifest, &shape()).unwrap();
        assert_eq!((episodes.len(), episodes.queries_each()), (50, 12));
        let class = |i: &u32| manifest.samples[*i as usize].class().unwrap();
        for e in 0..50 {
            let support = &episodes.support[e * 8..][..8];
            let queries = &episodes.queries[e * 12..][..12];
            let ways: Vec<u32> = support.chunks(2).map(|s| class(&s[0])).collect();
            assert!(support.iter().enumerate().all(|(i, s)| class(s) == ways[i / 2]));
            assert!(queries.iter().zip(&episodes.query_ways[e * 12..]).all(|(q, w)| class(q) == ways[*w as usize]));
            assert_eq!(ways.iter().collect::<BTreeSet<_>>().len(), 4);
            assert_eq!(support.iter().chain(queries).collect::<BTreeSet<_>>().len(), 20);
        }
    }

    #[test]
    fn draws_are_pinned_and_follow_the_seed() {
        let episodes = Episodes::draw(&manifest(), &shape()).unwrap();
        assert_eq!(episodes.support[..8], [3, 0, 29, 27, 44, 47, 54, 59]);
        assert_ne!(episodes, Episodes::draw(&manifest(), &EpisodeShape { seed: 2, ..shape() }).unwrap());
    }

    #[test]
    fn too_little_data_is_named() {
        let mut manifest = manifest();
        let large = EpisodeShape { ways: 11, ..shape() };
        assert_eq!(Episodes::draw(&manifest, &large), Err(EpisodeError::TooFewClasses { have: 10, want: 11 }));
        manifest.samples.retain(|s| s.class() != Some(3) || s.path.ends_with("drawer00"));
        let error = Episodes::draw(&manifest, &shape()).unwrap_err();
        assert!(error.to_string().contains("one class has too few: alphabet00/character03 (1)"), "{error}");
        assert!(Episodes::draw(&manifest, &EpisodeShape { skip_small_classes: true, ..shape() }).is_ok());
        assert_eq!(Episodes::official(&manifest), Err(EpisodeError::NoneOfficial));
    }

    #[test]
    fn a_damaged_list_is_refused_before_it_is_used() {
        let whole = Episodes::draw(&manifest(), &shape()).unwrap();
        let samples = manifest().samples.len();
        assert_eq!(whole.validate(samples), Ok(()));
        let empty = Episodes { support: Vec::new(), queries: Vec::new(), query_ways: Vec::new(), ..whole.clone() };
        assert_eq!((empty.validate(samples), empty.len()), (Ok(()), 0));
        let said = |change: &dyn Fn(&mut Episodes)| {
            let mut list = whole.clone();
            change(&mut list);
            let _ = (list.len(), list.queries_each(), list.is_empty());
            list.validate(samples).unwrap_err().to_string()
        };
        assert!(said(&|e| e.support[3] = samples as u32).contains("names sample 60, and there are 60"));
        assert!(said(&|e| e.queries[5] = u32::MAX).contains("names sample 4294967295"));
        assert!(said(&|e| e.query_ways[5] = 4).contains("names way 4, and there are 4"));
        assert!(said(&|e| e.shots = 0).contains("4 ways of 0 shots"));
        assert!(said(&|e| e.ways = usize::MAX).contains("ways of 2 shots"));
        assert!(said(&|e| e.support.truncate(5)).contains("no episodes of 4 ways"));
        assert!(said(&|e| e.query_ways.truncate(5)).contains("queries with"));
        assert!(said(&|e| e.queries.clear()).contains("0 queries with"));
    }
}
