//! Tensors as files hold them.

use std::hash::{DefaultHasher, Hash, Hasher};

use half::{bf16, f16};

use crate::choice::Print;

/// Type of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Upper half of a 32-bit float.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Unsigned byte.
    U8,
    /// One byte, zero or one.
    Bool,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 10] =
        [Self::F64, Self::F32, Self::F16, Self::Bf16, Self::I64, Self::I32, Self::I16, Self::I8, Self::U8, Self::Bool];

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Tells whether its numbers are floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The name of the type in digests and listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }
}

/// A tensor of a file: row-major, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTensor {
    /// Type of the numbers.
    pub dtype: Dtype,
    /// Shape of the tensor; empty for a scalar.
    pub shape: Vec<usize>,
    /// Bytes of the numbers.
    pub bytes: Vec<u8>,
}

impl RawTensor {
    /// The numbers as 32-bit floats.
    pub fn to_f32(&self) -> Vec<f32> {
        floats(self.dtype, &self.bytes)
    }

    /// The count of numbers that are not finite, or are not as 32-bit floats.
    pub fn not_finite(&self) -> usize {
        let blocks = self.bytes.chunks((1 << 14) * self.dtype.size());
        blocks.map(|block| floats(self.dtype, block).iter().filter(|v| !v.is_finite()).count()).sum()
    }

    /// A digest of type, shape and numbers, to tell tensors of one file apart.
    pub(crate) fn print(&self) -> Print {
        let digest = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(seed);
            (self.dtype.name(), &self.shape).hash(&mut hasher);
            hasher.write(&self.bytes);
            hasher.finish()
        };
        (digest(0), digest(1))
    }

    /// The same numbers with the axes in another order: axis i of the result is axis `order[i]` of this one.
    pub fn permuted(&self, order: &[usize]) -> Self {
        let stride: Vec<usize> = (0..self.shape.len()).map(|axis| self.shape[axis + 1..].iter().product()).collect();
        let pick = |of: &[usize]| order.iter().map(|axis| of[*axis]).collect::<Vec<_>>();
        let (shape, stride) = (pick(&self.shape), pick(&stride));
        let mut bytes = Vec::with_capacity(self.bytes.len());
        strided(&self.bytes, self.dtype.size(), &shape, &stride, &mut bytes);
        Self { dtype: self.dtype, shape, bytes }
    }

    /// The same numbers under another shape, if it has as many.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let fits = shape.iter().product::<usize>() == self.shape.iter().product::<usize>();
        fits.then(|| Self { shape: shape.to_vec(), ..self.clone() })
    }

    /// Tensors of one type and the same later axes, one after the other along the first.
    pub fn joined(parts: &[&Self]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let fits = |part: &&&Self| part.dtype == first.dtype && part.shape.get(1..) == first.shape.get(1..);
        if first.shape.is_empty() || !rest.iter().all(|part| fits(&part)) {
            return None;
        }
        let mut shape = first.shape.clone();
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
        Some(Self {
            dtype: first.dtype,
            shape,
            bytes: parts.iter().flat_map(|part| part.bytes.iter().copied()).collect(),
        })
    }
}

fn floats(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let chunks = bytes.chunks_exact(dtype.size());
    macro_rules! read {
        ($type:ty, $convert:expr) => {
            chunks.map(|c| $convert(<$type>::from_le_bytes(c.try_into().expect("chunks of this size")))).collect()
        };
    }
    match dtype {
        Dtype::F64 => read!(f64, |v| v as f32),
        Dtype::F32 => read!(f32, |v| v),
        Dtype::F16 => read!(f16, |v: f16| v.to_f32()),
        Dtype::Bf16 => read!(bf16, |v: bf16| v.to_f32()),
        Dtype::I64 => read!(i64, |v| v as f32),
        Dtype::I32 => read!(i32, |v| v as f32),
        Dtype::I16 => read!(i16, f32::from),
        Dtype::I8 => read!(i8, f32::from),
        Dtype::U8 | Dtype::Bool => bytes.iter().map(|v| f32::from(*v)).collect(),
    }
}

/// Tells whether the elements of a view lie in row-major order without gaps.
pub fn is_contiguous(shape: &[usize], stride: &[usize]) -> bool {
    (0..shape.len()).all(|axis| shape[axis] <= 1 || stride[axis] == shape[axis + 1..].iter().product::<usize>())
}

/// Appends the elements of a view, which begins where the storage does, in row-major order to `out`; the caller has made sure
/// that all of them are there.
pub fn strided(storage: &[u8], size: usize, shape: &[usize], stride: &[usize], out: &mut Vec<u8>) {
    let count: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = index.iter().zip(stride).map(|(i, s)| i * s).sum::<usize>();
        out.extend_from_slice(&storage[at * size..][..size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_f32() {
        let tensor = |dtype, bytes: &[u8]| RawTensor { dtype, shape: vec![1], bytes: bytes.to_vec() }.to_f32();
        assert_eq!(tensor(Dtype::F16, &f16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(tensor(Dtype::Bf16, &bf16::from_f32(-2.0).to_le_bytes()), [-2.0]);
        assert_eq!(tensor(Dtype::F64, &0.25f64.to_le_bytes()), [0.25]);
        assert_eq!(tensor(Dtype::I64, &7i64.to_le_bytes()), [7.0]);
        assert_eq!(tensor(Dtype::I8, &[0xff]), [-1.0]);
        let mut many = vec![0; 4 * 40_000];
        many[4 * 20_000..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
        many[4 * 39_999..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        assert_eq!(RawTensor { dtype: Dtype::F32, shape: vec![40_000], bytes: many }.not_finite(), 2);
    }

    #[test]
    fn axes_change_places() {
        let bytes = |shape: &[usize], bytes: &[u8]| RawTensor {
            dtype: Dtype::U8,
            shape: shape.to_vec(),
            bytes: bytes.to_vec(),
        };
        let tensor = bytes(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(tensor.permuted(&[1, 0]), bytes(&[3, 2], &[1, 4, 2, 5, 3, 6]));
        assert_eq!(tensor.permuted(&[0, 1]), tensor);
        assert_eq!(RawTensor::joined(&[&tensor, &bytes(&[1, 3], &[7, 8, 9])]).map(|t| t.shape), Some(vec![3, 3]));
        assert_eq!(RawTensor::joined(&[&tensor, &bytes(&[1, 2], &[7, 8])]), None);
    }
}
