//! Any bytes as the index of a TensorFlow checkpoint and its numbers: two bytes with the length of the index, the index, the rest.

#![no_main]

use assay_weights::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [low, high, rest @ ..] = bytes else { return };
    let (index, numbers) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
    if let Ok(checkpoint) = Checkpoint::from_tensorflow(index, numbers) {
        for tensor in checkpoint.tensors.values() {
            assert_eq!(tensor.shape.iter().product::<usize>() * tensor.dtype.size(), tensor.bytes.len());
        }
    }
});
