//! Datasets and what is done with them before a network sees them.
//!
//! A dataset on disk (or drawn, see [`Glyphs`]) becomes a [`Manifest`]: a list of samples with content digests and labels.
//! [`ImageSpec`] turns a sample's image into pixels of a fixed size, [`shards`] cuts a manifest where features are cached,
//! [`Episodes`] draws few-shot tasks from it.
//!
//! **Invariant.** No Burn and no engine: files in, numbers out. Files are not trusted: sizes are bounded before memory is taken.

mod archive;
pub mod augment;
mod classes;
pub mod datasets;
mod decode;
mod dense;
mod digests;
mod episodes;
mod features;
mod files;
mod folder;
mod formats;
mod geometry;
mod glyphs;
mod hub;
mod hub_dataset;
mod litter;
mod low_shot;
mod manifest;
mod mat;
mod omniglot;
mod preprocess;
mod random_resized_crop;
mod regular;
mod resize;
pub mod shards;
mod size;
mod source;
mod splits;
mod tables;
mod target;

pub use classes::{ClassOrder, Doubts, WantedOrder, doubts};
pub use decode::{Color, ImageError, PIXELS, Picture};
pub use dense::{ClassMap, NormalMap};
pub use digests::{Digests, Direct};
pub use episodes::{DamagedEpisodes, EpisodeError, EpisodeShape, Episodes};
pub use features::{FeatureMatrix, FeatureRows, answer_lists, feature_rows, features_of, name_list, named_rows};
pub use folder::{FolderOptions, image_folder};
pub use geometry::{Axis, Geometry, NormalSampling};
pub use glyphs::Glyphs;
pub use hub::{HubCache, RepoKind, Snapshot};
pub use hub_dataset::hub_dataset;
pub use manifest::{Manifest, OfficialEpisode, Sample, Split, Subset};
pub use omniglot::{omniglot, omniglot_runs};
pub use preprocess::{ImageSpec, ImageStep, Prepared, Resize};
pub use random_resized_crop::RandomResizedCrop;
pub use regular::open_regular;
pub use resize::{Filter, Pillow, resize};
pub use size::Size;
pub use source::{ImageSource, Packed};
pub use splits::{SplitUse, SplitWords, split_of};
pub use tables::{
    CsvColumns, TableColumns, WebColumns, arrow_dataset, csv_table, parquet_table, shard_paths, web_dataset,
};
pub use target::{BoundingBox, Label, MaskTarget, Presence, TargetFile, Targets};
