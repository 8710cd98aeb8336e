//! Archives of numpy and pickles of every protocol, as Python writes them (`tests/fuzz/seeds.py`).

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use assay_weights::{Checkpoint, Dtype};

fn seed(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/checkpoint").join(name);
    std::fs::read(path).unwrap()
}

#[test]
fn archives_of_numpy() {
    for name in ["npz", "compressed.npz"] {
        let checkpoint = Checkpoint::from_bytes(&seed(name), None).unwrap();
        let refused = Checkpoint::from_bytes(&seed(name), Some("model")).unwrap_err().to_string();
        assert!(refused.contains("leave out `container: \"model\"`"), "{refused}");
        assert_eq!(checkpoint.format, "npz");
        assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
        let (a, b) = (&checkpoint.tensors["a"], &checkpoint.tensors["b"]);
        assert_eq!((a.dtype, a.shape.as_slice()), (Dtype::F32, &[2, 3][..]));
        assert_eq!(a.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // Stored column by column.
        assert_eq!((b.dtype, b.shape.as_slice()), (Dtype::F64, &[2, 3][..]));
        assert_eq!(b.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}

#[test]
fn pickles_of_arrays_of_every_protocol() {
    for protocol in 2..6 {
        let checkpoint = Checkpoint::from_bytes(&seed(&format!("arrays-{protocol}.pkl")), None).unwrap();
        assert_eq!(checkpoint.format, "pickle of arrays");
        assert_eq!(checkpoint.tensors["online_params.net/~/conv.w"].to_f32(), [1.0; 4], "protocol {protocol}");
    }
}

/// Whatever is cut off or flipped, the answer is an error or tensors, never a panic.
#[test]
fn damaged_files_do_not_panic() {
    for name in ["npz", "compressed.npz", "safetensors", "legacy.pth", "zip.pth", "arrays-2.pkl", "arrays-4.pkl"] {
        let bytes = seed(name);
        for at in 0..bytes.len() {
            let _ = Checkpoint::from_bytes(&bytes[..at], None);
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let _ = Checkpoint::from_bytes(&damaged, None);
        }
    }
}
