//! Relative position bias of attention, as BEiT has it: a number for each head and each distance of two patches, and three for
//! what the class token is a part of.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

use crate::builder::{Builder, Init};

/// The table of a block.
#[derive(Module, Debug)]
pub struct RelativeBias {
    /// (2·side − 1)² + 3 × heads
    table: Param<Tensor<2>>,
    side: usize,
}

impl RelativeBias {
    /// Builds the table called `name` for a grid of `side` × `side` patches behind a class token.
    pub fn build(builder: &mut Builder<'_>, name: &str, side: usize, heads: usize) -> Self {
        let table = builder.parameter(name, [(2 * side - 1).pow(2) + 3, heads], Init::Zeros);
        Self { table, side }
    }

    /// The bias of all pairs of tokens: 1 × heads × T × T
    pub fn bias(&self) -> Tensor<4> {
        let table = self.table.val();
        let heads = table.dims()[1];
        let tokens = self.side * self.side + 1;
        let index = TensorData::new(places(self.side), [tokens * tokens]);
        let index = Tensor::<1, Int>::from_data(index, &table.device());
        table.select(0, index).reshape([tokens, tokens, heads]).permute([2, 0, 1]).unsqueeze()
    }
}

/// The row of the table for each pair of tokens.
fn places(side: usize) -> Vec<i32> {
    let reach = 2 * side - 1;
    let (to_patch, to_class, both) = (reach * reach, reach * reach + 1, reach * reach + 2);
    let tokens = side * side + 1;
    let place = |query: usize, key: usize| match (query, key) {
        (0, 0) => both,
        (0, _) => to_patch,
        (_, 0) => to_class,
        (query, key) => {
            let [[query_y, query_x], [key_y, key_x]] =
                [query, key].map(|token| [(token - 1) / side, (token - 1) % side]);
            (query_y + side - 1 - key_y) * reach + (query_x + side - 1 - key_x)
        }
    };
    (0..tokens * tokens).map(|i| place(i / tokens, i % tokens) as i32).collect()
}
