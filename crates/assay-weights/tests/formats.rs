//! Archives of numpy and pickles of every protocol, as Python writes them (`tests/fuzz/seeds.py`).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use assay_weights::{Checkpoint, Dtype};

fn seed(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/checkpoint").join(name);
    fs::read(path).unwrap()
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

/// A dict in a pickle, as `{ key: value, … }`.
enum Dict {
    Tensors(usize),
    Of(Vec<(&'static str, Dict)>),
}

use Dict::{Of, Tensors};

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn pickled(out: &mut Vec<u8>, dict: &Dict) {
    match dict {
        Tensors(0) => out.extend(b"K\x07"),
        Tensors(count) => {
            out.extend(b"}(");
            for i in 0..*count {
                text(out, &format!("layer{i}.weight"));
                out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
                text(out, "storage");
                out.extend(b"ctorch\nFloatStorage\n");
                text(out, "0");
                // Two elements from the second on.
                out.extend(b"tQK\x01(K\x02t(K\x01ttR");
            }
            out.push(b'u');
        }
        Of(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                text(out, key);
                pickled(out, value);
            }
            out.push(b'u');
        }
    }
}

fn torch_zip(dict: &Dict) -> Vec<u8> {
    let mut pickle = b"\x80\x02".to_vec();
    pickled(&mut pickle, dict);
    pickle.push(b'.');
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let numbers: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    for (name, bytes) in [("a/data.pkl", &pickle), ("a/data/0", &numbers)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A file of its own for each test.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn the_dict_of_tensors_is_found_whatever_its_key() {
    let number = || Tensors(0);
    let check = |dict: Dict, expected: Result<(Option<&str>, usize), &str>, all: &[(&str, usize)]| {
        let bytes = torch_zip(&dict);
        let found = Checkpoint::from_bytes(&bytes, None);
        match (expected, found) {
            (Ok((container, count)), Ok(found)) => {
                assert_eq!((found.container.as_deref(), found.tensors.len()), (container, count));
                assert_eq!(found.tensors.values().next().unwrap().to_f32(), [2.0, 3.0]);
            }
            (Err(expected), Err(error)) => assert!(error.to_string().contains(expected), "{expected}: {error}"),
            (expected, found) => panic!("{expected:?} was expected, and it is {:?}", found.map(|f| f.container)),
        }
        let (_dir, path) = file("w.pth", &bytes);
        let found = Checkpoint::containers(&path).unwrap();
        assert_eq!(found.iter().map(|(path, count)| (path.as_str(), *count)).collect::<Vec<_>>(), all);
    };
    check(Tensors(2), Ok((None, 2)), &[("", 2)]);
    let mine = || Of(vec![("my_weights", Tensors(3)), ("epoch", number())]);
    check(mine(), Ok((Some("my_weights"), 3)), &[("my_weights", 3)]);
    let deep = Of(vec![("run", Of(vec![("last", Tensors(2)), ("epoch", number())])), ("epoch", number())]);
    check(deep, Ok((Some("run.last"), 2)), &[("run.last", 2)]);
    // A usual key goes before others, as long as there is one.
    let usual = Of(vec![("optimizer", Tensors(4)), ("state_dict", Tensors(2)), ("more", number())]);
    check(usual, Ok((Some("state_dict"), 2)), &[("optimizer", 4), ("state_dict", 2)]);
    let two = Of(vec![("student", Tensors(2)), ("teacher", Tensors(1))]);
    let expected = "several dicts in it hold tensors: teacher (1 tensors), student (2 tensors); say which one is meant, such as `container: \"teacher\"` (the authors of DINO";
    check(two, Err(expected), &[("student", 2), ("teacher", 1)]);
    let unusual = Of(vec![("a", Tensors(2)), ("b", Of(vec![("c", Tensors(1))]))]);
    check(unusual, Err("a (2 tensors), b.c (1 tensors)"), &[("a", 2), ("b.c", 1)]);
    check(Of(vec![("epoch", number()), ("args", number())]), Err("its keys are: epoch, args"), &[]);
    let chosen =
        Checkpoint::from_bytes(&torch_zip(&Of(vec![("a", Tensors(2)), ("b", Tensors(1))])), Some("b")).unwrap();
    assert_eq!((chosen.container.as_deref(), chosen.tensors.len()), (Some("b"), 1));
}

/// What is read from a file piece by piece is what the same bytes in memory are.
#[test]
fn files_and_bytes_in_memory_are_the_same() {
    for name in ["npz", "compressed.npz", "safetensors", "legacy.pth", "zip.pth", "arrays-2.pkl", "arrays-4.pkl"] {
        let bytes = seed(name);
        let (_dir, path) = file("w", &bytes);
        let (from_file, from_memory) =
            (Checkpoint::open(&path, None).unwrap(), Checkpoint::from_bytes(&bytes, None).unwrap());
        assert_eq!(from_file.tensors, from_memory.tensors, "{name}");
        assert_eq!((from_file.format, from_file.container), (from_memory.format, from_memory.container), "{name}");
        let cut = &bytes[..bytes.len() - 1];
        fs::write(&path, cut).unwrap();
        let cut = [Checkpoint::open(&path, None), Checkpoint::from_bytes(cut, None)]
            .map(|c| c.map(|c| c.tensors).map_err(|e| e.to_string()));
        assert_eq!(cut[0], cut[1], "{name}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_without_reading() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    fs::write(at("m.safetensors.index.json"), r#"{"weight_map": {"a": "pipe"}}"#).unwrap();
    for (path, expected) in [
        (at("pipe"), "it is a named pipe"),
        (at("socket"), "it is a socket"),
        (PathBuf::from("/dev/zero"), "it is a device"),
        (at(""), "it is a folder"),
        (at("m.safetensors.index.json"), "pipe: it is a named pipe"),
    ] {
        let error = Checkpoint::open(&path, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        if !path.is_dir() {
            let error = Checkpoint::files(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}

/// Sizes that are only said to be so take no memory and no time.
#[test]
fn large_files_are_read_in_part() {
    let open = |name: &str, head: &[u8], length: u64| {
        let (dir, path) = file(name, head);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let error = Checkpoint::open(&path, None).unwrap_err().to_string();
        drop(dir);
        error
    };
    let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let tensor = r#"{"a":{"dtype":"F32","shape":[4294967296],"data_offsets":[0,17179869184]}}"#;
    assert!(open("w", &header(tensor), 1 << 33).contains("its header tells of 17179869184 bytes of numbers"));
    assert!(open("w", &[0x80, 2], 17 << 30).contains("at most 17179869184 are read"));
    assert!(open("w", b"PK\x03\x04", 1 << 33).contains("the zip cannot be read"));
    assert!(open("w", b"nothing that is known", 1 << 33).contains("not a weights file"));
    assert!(open("w", &header(tensor), (64 << 30) + 1).contains("it is refused as too large"));
}

/// What Lightning keeps beside the weights (`tests/reference/torch_objects.py`): objects of many libraries, stepped over.
#[test]
fn objects_of_other_libraries_are_in_nobodys_way() {
    let read = |name: &str, container| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/checkpoints").join(name);
        Checkpoint::open(&path, container).unwrap()
    };
    let plain = read("flat.pth", None).tensors;
    for (name, unread) in [("objects.ckpt", &["loss", "queue"][..]), ("objects_legacy.ckpt", &["loss"])] {
        let checkpoint = read(name, None);
        assert_eq!(checkpoint.container.as_deref(), Some("state_dict"), "{name}");
        assert_eq!(checkpoint.unread.keys().collect::<Vec<_>>(), unread, "{name}");
        assert_eq!(checkpoint.tensors.len(), 24, "{name}");
        for (key, tensor) in checkpoint.tensors {
            assert_eq!(tensor.to_f32(), plain[key.strip_prefix("model.").unwrap()].to_f32(), "{name}: {key}");
        }
    }
}

#[test]
fn a_header_as_long_as_a_pickle_begins_is_a_header() {
    // 0x280 bytes: the file begins with 80 02, as a pickle of protocol 2.
    let mut header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_vec();
    header.resize(0x280, b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(1.5f32.to_le_bytes());
    let read = Checkpoint::from_bytes(&bytes, None).unwrap();
    assert_eq!((read.format, read.tensors["a"].to_f32()), ("safetensors", vec![1.5]));
}
