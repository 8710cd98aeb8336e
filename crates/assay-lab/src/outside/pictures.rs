//! Decoded images that several steps need: one decode serves all models and preprocessings of a run.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use assay_data::{Color, ImageError, Picture};

type Key = (blake3::Hash, Color);

/// Decoded images, the oldest dropped first.
#[derive(Debug, Default)]
pub struct Pictures(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    pictures: HashMap<Key, Arc<Picture>>,
    order: VecDeque<Key>,
    bytes: usize,
}

/// Most bytes of pixels that are kept: more than a shard of photographs takes.
const MAX_BYTES: usize = 1 << 30;

impl Pictures {
    /// The image with this digest, decoded if it is not here.
    ///
    /// # Errors
    /// Those of `decode`.
    pub fn get(
        &self,
        digest: blake3::Hash,
        color: Color,
        decode: impl FnOnce() -> Result<Picture, ImageError>,
    ) -> Result<Arc<Picture>, ImageError> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (digest, color);
        if let Some(picture) = lock().pictures.get(&key) {
            return Ok(Arc::clone(picture));
        }
        let picture = Arc::new(decode()?);
        lock().keep(key, &picture);
        Ok(picture)
    }
}

impl Kept {
    fn keep(&mut self, key: Key, picture: &Arc<Picture>) {
        if picture.data.len() > MAX_BYTES || self.pictures.insert(key, Arc::clone(picture)).is_some() {
            return;
        }
        self.bytes += picture.data.len();
        self.order.push_back(key);
        while self.bytes > MAX_BYTES {
            let oldest = self.order.pop_front().and_then(|key| self.pictures.remove(&key));
            self.bytes -= oldest.map_or(0, |p| p.data.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_decoded_once_and_the_oldest_goes_first() {
        let pictures = Pictures::default();
        let large = || Ok(Picture { width: 20_000, height: 20_000, channels: 1, data: vec![0; 400_000_000] });
        let name = |i: u8| blake3::hash(&[i]);
        let never = || panic!("it is here already");
        pictures.get(name(0), Color::Grey, large).unwrap();
        pictures.get(name(0), Color::Grey, never).unwrap();
        pictures.get(name(1), Color::Grey, large).unwrap();
        pictures.get(name(2), Color::Grey, large).unwrap();
        pictures.get(name(1), Color::Grey, never).unwrap();
        let mut decoded = false;
        let again = || {
            decoded = true;
            large()
        };
        pictures.get(name(0), Color::Grey, again).unwrap();
        assert!(decoded, "the first made room for the third");
    }
}
