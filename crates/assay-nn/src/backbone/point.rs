//! Where features are taken from a network, and how many numbers become one row.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::global_average_pool;

/// Reduction of the map of a layer to one row of features.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Pool {
    /// Global average over all positions; of a transformer, over its patches, without the class token.
    Gap,
    /// Class token of a transformer.
    Cls,
    /// Class token of a transformer, followed by the average over its patches: twice as many features.
    ClsGap,
    /// Generalised mean over positions: the mean of the `p`-th powers, to the power 1/`p` (Radenović et al. 2018).
    GeM {
        /// Power: 1 gives the average, large values come close to the maximum. Default: 3.0.
        #[serde(default = "cubic")]
        p: f32,
    },
    /// No reduction: all numbers of the map, channel after channel; of a transformer, patch after patch.
    Flat,
}

fn cubic() -> f32 {
    3.0
}

/// Place in a network where features are taken, and the pool that makes one row of its map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeaturePoint {
    /// Stage or block, counted from 1; absent for the end of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// How positions are brought together; absent for what the network itself does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
}

impl FeaturePoint {
    /// What the network itself ends in.
    pub const END: Self = Self { layer: None, pool: None };

    /// Whether this is what the network itself ends in.
    pub fn is_end(&self) -> bool {
        *self == Self::END
    }
}

/// Pools tokens, the first `prefix` of which (the class token before all) are not of patches: B × T × D → B × D'
pub fn pool_tokens(tokens: Tensor<3>, prefix: usize, pool: Pool) -> Tensor<2> {
    let [b, t, d] = tokens.dims();
    let cls = || tokens.clone().slice([0..b, 0..1]).reshape([b, d]);
    let patches = || tokens.clone().slice([0..b, prefix..t]);
    match pool {
        Pool::Cls => cls(),
        Pool::Gap => patches().mean_dim(1).reshape([b, d]),
        Pool::ClsGap => Tensor::cat(vec![cls(), patches().mean_dim(1).reshape([b, d])], 1),
        Pool::GeM { .. } => pool_map(patches().swap_dims(1, 2).reshape([b, d, t - prefix, 1]), pool),
        Pool::Flat => patches().reshape([b, (t - prefix) * d]),
    }
}

/// Pools a map: B × C × H × W → B × D
pub fn pool_map(map: Tensor<4>, pool: Pool) -> Tensor<2> {
    match pool {
        Pool::GeM { p } => {
            // Below this the derivative of the power is of no use; authors clamp there.
            let powers = map.clamp_min(1e-6).powf_scalar(p);
            global_average_pool(powers).powf_scalar(1.0 / p)
        }
        Pool::Flat => map.flatten(1, 3),
        Pool::Gap | Pool::Cls | Pool::ClsGap => global_average_pool(map),
    }
}

impl Pool {
    /// Features of `positions` places with `channels` numbers each.
    pub fn features(self, channels: usize, positions: usize) -> usize {
        match self {
            Self::Gap | Self::Cls | Self::GeM { .. } => channels,
            Self::ClsGap => 2 * channels,
            Self::Flat => channels * positions,
        }
    }

    /// Whether it needs a class token.
    pub fn needs_class_token(self) -> bool {
        matches!(self, Self::Cls | Self::ClsGap)
    }
}
