//! Files that are no weights files that are read: what they are, and what to do instead.

/// How files of other kinds begin, what they are, and what to do.
const BEGINNINGS: [(&[u8], &str); 13] = [
    (b"version https://git-lfs", "a Git LFS pointer (run `git lfs pull` where it came from)"),
    (
        b"GGUF",
        "GGUF, whose numbers are rounded as a rule (give the safetensors or torch file that it was converted from)",
    ),
    (
        b"\x89HDF\r\n\x1a\n",
        "HDF5, as Keras writes it (load it in Keras and save its arrays by `numpy.savez`, under the names of a library that is read here)",
    ),
    (&[0x1f, 0x8b], "gzip-compressed (unpack it first)"),
    (b"BZh", "bzip2-compressed (unpack it first)"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz-compressed (unpack it first)"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed by Zstandard (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it first)"),
    (b"Rar!", "a RAR archive (unpack it first)"),
    (b"\x93NUMPY", "a single array of numpy (give an `.npz` with an array for each name)"),
    (b"PAR1", "Parquet"),
    (b"\x89PNG", "a picture"),
    (b"%PDF", "a PDF"),
];

/// What a file is that begins so and is none that is read. `extension` is that of its name.
pub fn describe(bytes: &[u8], extension: &str) -> String {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_lowercase();
    let part = |range: std::ops::Range<usize>| bytes.get(range).unwrap_or_default();
    if let Some((_, what)) = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return (*what).to_owned();
    }
    let what = if head.starts_with('<') {
        "a web page (a download link often gives one instead of the file)"
    } else if part(4..8) == b"TFL3" {
        "TensorFlow Lite, whose weights are folded and often rounded (give the checkpoint that it was made from)"
    } else if extension == "onnx" || is_onnx(bytes) {
        "ONNX, a program with its weights, which may be folded into others (give the checkpoint that it was exported from)"
    } else if extension == "msgpack" || is_message_pack(bytes) {
        "MessagePack, as Flax writes it (load it by `flax.serialization.msgpack_restore` and save the arrays by `numpy.savez`)"
    } else if part(257..262) == b"ustar" {
        "a tar archive (unpack it first; torch's own tar format from before 0.1.10 is not read)"
    } else if bytes.iter().take(256).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        "text"
    } else {
        "of an unknown kind (of a TensorFlow checkpoint, name the `.index`)"
    };
    what.to_owned()
}

/// A protocol buffer with a small version, then the name of a producer: how exporters write `ModelProto`.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=20, 0x12, 1..=64, name, ..] if name.is_ascii_alphabetic())
}

/// A map of a few entries, or of counted ones, whose first key is a string.
fn is_message_pack(bytes: &[u8]) -> bool {
    let first = match bytes {
        [0x81..=0x8f, first, ..] => *first,
        [0xde, _, _, first, ..] | [0xdf, _, _, _, _, first, ..] => *first,
        _ => return false,
    };
    matches!(first, 0xa1..=0xbf | 0xd9)
}

/// What a zip is that is neither of torch nor of numpy, by the names of its members.
pub fn describe_zip(names: &[String]) -> String {
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    let what = if has("serialized_exported_program.json") || has("archive_format") || has("models/model.json") {
        "a program of torch.export (load it by `torch.export.load`, and save its `state_dict` by `torch.save`)"
    } else if has("model.weights.h5") {
        "a model of Keras (load it in Keras and save its arrays by `numpy.savez`, under the names of a library that is read here)"
    } else if has(".pth") || has(".pt") || has(".safetensors") || has(".bin") || has(".ckpt") {
        "an archive with weights files in it (unpack it first)"
    } else {
        "a zip archive without `data.pkl`, which torch.save writes"
    };
    what.to_owned()
}

/// What a folder is that holds no index of weights.
pub fn describe_folder(names: &[String]) -> String {
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    let what = if has(".distcp") {
        "a folder of torch.distributed.checkpoint (join it by `python -m torch.distributed.checkpoint.format_utils dcp_to_torch`)"
    } else if has("_optim_states.pt") || names.iter().any(|name| name.starts_with("global_step")) {
        "a folder of DeepSpeed (join it by its own `zero_to_fp32.py`)"
    } else if has("saved_model.pb") {
        "a SavedModel of TensorFlow (give the index of its checkpoint, or save its arrays by `numpy.savez`)"
    } else if has("_CHECKPOINT_METADATA") || has("manifest.ocdbt") {
        "a folder of Orbax (restore it and save the arrays by `numpy.savez`)"
    } else {
        "a folder without one index of weights"
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_named() {
        for (bytes, extension, expected) in [
            (&b"GGUF\x03"[..], "gguf", "GGUF"),
            (b"\x89HDF\r\n\x1a\nabc", "h5", "HDF5"),
            (b"\x1c\0\0\0TFL3", "tflite", "TensorFlow Lite"),
            (b"\x08\x08\x12\x07pytorch", "", "ONNX"),
            (b"\x08\xff", "onnx", "ONNX"),
            (b"\x82\xa6params\xc0", "", "MessagePack"),
            (b"<!DOCTYPE html>", "pth", "a web page"),
            (b"version https://git-lfs.github.com", "bin", "LFS"),
            (b"hello", "", "text"),
            (b"\0\x01\x02", "", "unknown"),
            (b"BZh91AY", "", "bzip2"),
        ] {
            assert!(describe(bytes, extension).contains(expected), "{expected}");
        }
        for (names, expected) in [
            (&["m/serialized_exported_program.json", "m/serialized_state_dict.pt"][..], "torch.export"),
            (&["m/archive_format", "m/data/weights/w.pt"], "torch.export"),
            (&["metadata.json", "model.weights.h5"], "Keras"),
            (&["run/model.pth"], "unpack it first"),
            (&["a.txt"], "without `data.pkl`"),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert!(describe_zip(&names).contains(expected), "{expected}");
        }
        for (name, expected) in
            [("__0_0.distcp", "distributed"), ("saved_model.pb", "SavedModel"), ("a", "without one")]
        {
            assert!(describe_folder(&[name.to_owned()]).contains(expected), "{name}");
        }
    }
}
