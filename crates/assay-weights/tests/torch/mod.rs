//! Files as torch.save writes them, from values that a test spells out.

use std::io::{Cursor, Write};

/// A value of a pickle.
#[derive(Clone)]
pub enum Node {
    /// A tensor of 32-bit floats, all the same.
    Floats(&'static [usize], f32),
    /// A tensor in a storage of this kind, of zeros.
    Of(&'static str, &'static [usize]),
    /// What the pickle has in this place.
    Program(Vec<u8>),
    Dict(Vec<(String, Node)>),
}

pub use Node::{Dict, Floats, Of, Program};

pub fn dict(entries: &[(&str, Node)]) -> Node {
    Dict(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// The entries of a dict under names that begin with this.
pub fn under(prefix: &str, node: &Node) -> Vec<(String, Node)> {
    let Dict(entries) = node else { panic!("it is no dict") };
    entries.iter().map(|(key, value)| (format!("{prefix}{key}"), value.clone())).collect()
}

/// What calling a function of another library gives.
pub fn foreign(name: &str) -> Node {
    let (module, name) = name.rsplit_once('.').unwrap();
    Program(format!("c{module}\n{name}\n)R").into_bytes())
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write(out: &mut Vec<u8>, storages: &mut Vec<Vec<u8>>, node: &Node) {
    let (kind, shape, value, size) = match node {
        Program(bytes) => return out.extend(bytes),
        Dict(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                text(out, key);
                write(out, storages, value);
            }
            return out.push(b'u');
        }
        Floats(shape, value) => ("FloatStorage", *shape, value.to_le_bytes(), 4),
        Of(kind, shape) => (*kind, *shape, [0; 4], if kind.starts_with("Complex") { 8 } else { 1 }),
    };
    let count = shape.iter().product::<usize>();
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(out, "storage");
    out.extend(format!("ctorch\n{kind}\n").bytes());
    text(out, &storages.len().to_string());
    out.extend(b"tQK\x00(");
    shape.iter().for_each(|side| out.extend([b'K', *side as u8]));
    out.extend(b"t(");
    (0..shape.len()).for_each(|axis| out.extend([b'K', shape[axis + 1..].iter().product::<usize>() as u8]));
    out.extend(b"ttR");
    let bytes = if size == 4 { value.repeat(count) } else { vec![0; size * count] };
    storages.push(bytes);
}

pub fn torch_zip(node: &Node) -> Vec<u8> {
    torch_zip_called("a", node)
}

/// torch calls the folder in the file as the file.
pub fn torch_zip_called(name: &str, node: &Node) -> Vec<u8> {
    let folder = name;
    let (mut pickle, mut storages) = (b"\x80\x02".to_vec(), Vec::new());
    write(&mut pickle, &mut storages, node);
    pickle.push(b'.');
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let members = storages.iter().enumerate().map(|(i, bytes)| (format!("{folder}/data/{i}"), bytes));
    for (name, bytes) in [(format!("{folder}/data.pkl"), &pickle)].into_iter().chain(members) {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
