//! Protocols of kinds that do not exist yet, each as small as can be: that they compile, plan and run shows that what they ask
//! for can be asked.

use assay_config::Checker;
use assay_data::Split;
use assay_engine::{Content, Context, Json, Output, Step};
use assay_nn::FeaturePoint;
use assay_stats::metrics::MetricId;
use serde::Serialize;

use crate::outside::LabelledImages;
use crate::plan::{CellPlan, PlanError, Protocol};
use crate::results::{Evaluation, Items, LearningCurve, Measure, PerItem};
use crate::results::{Exhibit, PrecisionRecall};
use crate::steps::{FeatureTable, Features, LabStep, Runtime, WeightsRecipe, WrittenIn};
