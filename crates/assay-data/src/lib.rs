//! Datasets and what is done with them before a network sees them.
//!
//! A dataset on disk (or drawn, see [`Glyphs`]) becomes a [`Manifest`]: a list of samples with content digests and labels.
//! [`ImageSpec`] turns a sample's image into pixels of a fixed size, [`shards`] cuts a manifest where features are cached,
//! [`Episodes`] draws few-shot tasks from it.
//!
//! **Invariant.** No Burn and no engine: files in, numbers out. Files are not trusted: sizes are bounded before memory is taken.

pub mod augment;
mod decode;
mod digests;
mod episodes;
mod folder;
mod glyphs;
mod manifest;
mod omniglot;
mod preprocess;
mod resize;
pub mod shards;
mod source;

pub use decode::{Color, ImageError, Picture};
pub use digests::{Digests, Direct};
pub use episodes::{EpisodeError, EpisodeShape, Episodes};
pub use folder::image_folder;
pub use glyphs::Glyphs;
pub use manifest::{Label, Manifest, Mark, OfficialTrial, Sample, Split, Subset};
pub use omniglot::{omniglot, omniglot_runs};
pub use preprocess::{ImageSpec, Resize};
pub use resize::{Filter, resize};
pub use source::Origin;
