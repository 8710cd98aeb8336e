//! Datasets of features that somebody else has computed.

use assay_config::{Checker, UserPath};
use assay_data::{Digests, FeatureRows, Manifest, Split, feature_rows};
use schemars::JsonSchema;
use serde::Deserialize;

/// Part of a path that the name of the model is put in place of.
pub const MODEL: &str = "{model}";
/// Part of a path that the name of the task is put in place of.
const TASK: &str = "{task}";

/// Files of features with their labels: either the parts `train`, `val` and `test`, or `all`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureFiles {
    /// Rows of the training split. Default: none.
    #[serde(default)]
    pub train: Option<FeaturePart>,
    /// Rows of the validation split. Default: none.
    #[serde(default)]
    pub val: Option<FeaturePart>,
    /// Rows of the test split. Default: none.
    #[serde(default)]
    pub test: Option<FeaturePart>,
    /// Rows of all splits, which `split` tells apart; without it there are no splits. Default: none.
    #[serde(default)]
    pub all: Option<FeaturePart>,
    /// File with the names of the classes in the order of their numbers: a line each, or an array of text. Default: the
    /// array `classes` of the first file of features, or else the labels themselves.
    #[serde(default)]
    pub class_names: Option<UserPath>,
}

/// Files of some rows. `{model}` in a path stands for the name of the model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeaturePart {
    /// File with N rows of D features of 16, 32 or 64 bits: `.npy`, `.npz`, `.safetensors`, or Parquet with a column of
    /// lists.
    pub x: UserPath,
    /// File with N labels, numbers or names, or with N × K marks of 1, 0 and −1 (difficult) where rows show several
    /// classes: a file as that of `x`, or a text with a line for each row, or a `.csv`. Default: the file of `x`.
    #[serde(default)]
    pub y: Option<UserPath>,
    /// File with N names of the rows, such as paths of images, which make rows of several models the same items. Default:
    /// the file of `x` where it has them, or else none.
    #[serde(default)]
    pub ids: Option<UserPath>,
    /// File with N names of splits, for `all`. Default: the file of `x` where it has them, or else none.
    #[serde(default)]
    pub split: Option<UserPath>,
    /// Names of arrays or columns in files that hold several. Default: `(ids: "ids", split: "split", x: "x", y: "y")`.
    #[serde(default)]
    pub keys: FeatureKeys,
}

/// Names of arrays or columns in files that hold several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureKeys {
    /// Name of the features. Default: `"x"`.
    pub x: String,
    /// Name of the labels. Default: `"y"`.
    pub y: String,
    /// Name of the names of the rows. Default: `"ids"`.
    pub ids: String,
    /// Name of the splits. Default: `"split"`.
    pub split: String,
}

impl Default for FeatureKeys {
    fn default() -> Self {
        let [x, y, ids, split] = ["x", "y", "ids", "split"].map(str::to_owned);
        Self { x, y, ids, split }
    }
}

impl FeaturePart {
    fn paths_mut(&mut self) -> impl Iterator<Item = &mut UserPath> {
        [Some(&mut self.x), self.y.as_mut(), self.ids.as_mut(), self.split.as_mut()].into_iter().flatten()
    }
}

impl FeatureFiles {
    fn parts(&self) -> [(&'static str, Split, Option<&FeaturePart>); 4] {
        [
            ("train", Split::Train, self.train.as_ref()),
            ("val", Split::Val, self.val.as_ref()),
            ("test", Split::Test, self.test.as_ref()),
            ("all", Split::Whole, self.all.as_ref()),
        ]
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut UserPath> {
        let parts = [&mut self.train, &mut self.val, &mut self.test, &mut self.all];
        parts.into_iter().flatten().flat_map(FeaturePart::paths_mut).chain(self.class_names.as_mut())
    }

    /// The files of one model.
    pub fn for_model(&self, model: &str) -> Self {
        let mut all = self.clone();
        for path in all.paths_mut().filter(|path| is_by_model(path)) {
            *path = of_model(path, model);
        }
        all
    }

    /// Tells whether models have files of their own.
    pub fn is_by_model(&self) -> bool {
        self.clone().paths_mut().any(|path| is_by_model(path))
    }

    /// Tells whether models have features of their own, which is what several models need.
    pub fn has_x_by_model(&self) -> bool {
        self.parts().iter().filter_map(|part| part.2).all(|part| is_by_model(&part.x))
    }

    /// Lists the rows.
    ///
    /// # Errors
    /// When files are missing or do not fit together.
    pub fn manifest(&self, digests: &dyn Digests) -> anyhow::Result<Manifest> {
        let path = |path: &Option<UserPath>| path.as_ref().map(|path| path.0.clone());
        let rows = |(_, part, files): (_, Split, Option<&FeaturePart>)| {
            let FeaturePart { x, y, ids, split, keys } = files?;
            let FeatureKeys { x: x_key, y: y_key, ids: ids_key, split: split_key } = keys.clone();
            Some(FeatureRows {
                part,
                x: x.0.clone(),
                y: path(y),
                ids: path(ids),
                split: path(split),
                keys: [x_key, y_key, ids_key, split_key],
            })
        };
        let parts: Vec<FeatureRows> = self.parts().into_iter().filter_map(rows).collect();
        feature_rows(&parts, path(&self.class_names).as_deref(), digests)
    }

    pub(crate) fn check(&self, at: &Checker<'_>) {
        let given: Vec<&str> = self.parts().iter().filter(|part| part.2.is_some()).map(|part| part.0).collect();
        if given.is_empty() {
            at.problem("`Features` needs files: `train: (x: …, y: …)`, `test: …`, or `all: …`", "no files");
        }
        at.field("all")
            .expect(self.all.is_none() || given.len() == 1, "must stand alone: it holds the rows of all splits");
        let by_model = self.parts().iter().filter(|part| part.2.is_some_and(|part| is_by_model(&part.x))).count();
        at.expect([0, given.len()].contains(&by_model), "must have `{model}` in every `x`, or in none");
        for (name, _, part) in &self.parts()[..3] {
            let has_split = part.is_some_and(|part| part.split.is_some());
            at.field(&format!("{name}.split")).expect(!has_split, "must be left out: it is for `all`");
        }
    }
}

/// Tells whether a path is another for each model.
fn is_by_model(path: &UserPath) -> bool {
    path.0.to_string_lossy().contains(MODEL)
}

/// The path of one model.
fn of_model(path: &UserPath, model: &str) -> UserPath {
    UserPath(path.0.to_string_lossy().replace(MODEL, model).into())
}

/// The path of one model, and of one task where that has a name.
pub fn of_cell(path: &UserPath, model: &str, task: &str) -> UserPath {
    let path = of_model(path, model);
    if task.is_empty() { path } else { UserPath(path.0.to_string_lossy().replace(TASK, task).into()) }
}
