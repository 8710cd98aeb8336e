//! Named arrays of an artifact.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Named arrays of an artifact, as one safetensors file.
pub(crate) struct Arrays(Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>);

impl Arrays {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn with<const N: usize>(
        mut self,
        name: &'static str,
        dtype: Dtype,
        shape: &[usize],
        numbers: impl IntoIterator<Item = [u8; N]>,
    ) -> Self {
        self.0.push((name, dtype, shape.to_vec(), numbers.into_iter().flatten().collect()));
        self
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let views = self
            .0
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
        let views = views.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(safetensors::serialize(views, None)?)
    }
}

/// Reads one array of a safetensors file: its shape and its numbers.
pub(crate) fn array<T, const N: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    convert: fn([u8; N]) -> T,
) -> anyhow::Result<(Vec<usize>, Vec<T>)> {
    let view = file.tensor(name)?;
    let numbers = view.shape().iter().product::<usize>();
    anyhow::ensure!(view.data().len() % N == 0 && view.data().len() / N <= numbers, "{name} is of another type");
    let numbers = view.data().chunks_exact(N).map(|c| convert(c.try_into().expect("chunks of N"))).collect();
    Ok((view.shape().to_vec(), numbers))
}
