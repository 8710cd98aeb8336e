//! Cuts of a manifest, such that a change in one place leaves the other pieces as they were.
//!
//! Walking the samples in order, a piece ends after an image whose digest is below a threshold (one in 384), so where it ends
//! depends on that image alone. A piece that would grow beyond 1,024 images ends after its image with the smallest digest.

use blake3::Hash;

/// Most images in a shard.
pub const MAX_IMAGES: usize = 1_024;
const ONE_IN: u64 = 384;

/// Computes the lengths of the consecutive pieces that `digests` is cut into.
pub fn cut(digests: &[Hash]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut rest = digests;
    while !rest.is_empty() {
        let window = &rest[..rest.len().min(MAX_IMAGES)];
        let length = match window.iter().position(ends_here) {
            Some(last) => last + 1,
            None if window.len() < MAX_IMAGES => window.len(),
            None => {
                let smallest = window.iter().enumerate().min_by_key(|(_, d)| *d.as_bytes());
                smallest.map_or(window.len(), |(i, _)| i + 1)
            }
        };
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

fn ends_here(digest: &Hash) -> bool {
    let head = u64::from_be_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"));
    head < u64::MAX / ONE_IN
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn digests(n: u32, salt: u32) -> Vec<Hash> {
        (0..n).map(|i| blake3::hash(&[i.to_le_bytes(), salt.to_le_bytes()].concat())).collect()
    }

    fn pieces(digests: &[Hash]) -> HashSet<Vec<Hash>> {
        let mut at = 0;
        cut(digests)
            .into_iter()
            .map(|n| {
                at += n;
                digests[at - n..at].to_vec()
            })
            .collect()
    }

    proptest! {
        #[test]
        fn pieces_cover_everything(n in 0u32..5000, salt: u32) {
            let lengths = cut(&digests(n, salt));
            prop_assert_eq!(lengths.iter().sum::<usize>(), n as usize);
            prop_assert!(lengths.iter().all(|l| (1..=MAX_IMAGES).contains(l)));
        }
    }

    #[test]
    fn ten_more_images_in_a_folder_touch_few_pieces() {
        for salt in 0..40 {
            let before = digests(5000, salt);
            let old = pieces(&before);
            for at in (0..5000).step_by(211) {
                let mut after = before.clone();
                after.splice(at..at, digests(10, salt + 1000));
                let new = pieces(&after).difference(&old).count();
                assert!((1..=3).contains(&new), "{new} new pieces at {at} with salt {salt}");
            }
        }
    }
}
