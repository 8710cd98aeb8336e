//! Points of a network where features are taken, and pools that make one row of many numbers.

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
    /// Pool by attention of one learnt query, which is a part of the network: of `SigLip`, at its end.
    Attention,
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
    /// Reduction of the map to one row; absent for that of the network itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Number of the last blocks of a transformer whose features stand side by side; absent where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<usize>,
    /// True for the tokens of a transformer without the normalisation of its end.
    #[serde(skip_serializing_if = "is_false")]
    pub is_raw: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl FeaturePoint {
    /// The end of the network, as it pools itself.
    pub const END: Self = Self { layer: None, pool: None, last: None, is_raw: false };

    /// Tells whether features are what comes out at the end of the network, however they are pooled.
    pub fn is_at_end(&self) -> bool {
        self.layer.is_none() && self.last.is_none() && !self.is_raw
    }

    /// Tells whether this is the end of the network, as it pools itself.
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
        // A pool of the network's own is not for networks that have none.
        Pool::Gap | Pool::Attention => patches().mean_dim(1).reshape([b, d]),
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
        Pool::Gap | Pool::Cls | Pool::ClsGap | Pool::Attention => global_average_pool(map),
    }
}

impl Pool {
    /// Features of `positions` places with `channels` numbers each.
    pub fn features(self, channels: usize, positions: usize) -> usize {
        match self {
            Self::Gap | Self::Cls | Self::GeM { .. } | Self::Attention => channels,
            Self::ClsGap => 2 * channels,
            Self::Flat => channels * positions,
        }
    }

    /// Tells whether the pool needs a class token.
    pub fn needs_class_token(self) -> bool {
        matches!(self, Self::Cls | Self::ClsGap)
    }
}
