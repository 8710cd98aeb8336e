//! Any bytes as a weights file: torch's zips and pickles, numpy's archives, safetensors.

#![no_main]

use assay_weights::Checkpoint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = Checkpoint::from_bytes(bytes, None) {
        for tensor in checkpoint.tensors.values() {
            assert_eq!(tensor.shape.iter().product::<usize>() * tensor.dtype.size(), tensor.bytes.len());
            std::hint::black_box(tensor.to_f32());
        }
    }
});
