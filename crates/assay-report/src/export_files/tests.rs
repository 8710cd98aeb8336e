//! What is written is what the formats say; `tests/reference/features.py` reads the same with numpy, pandas and torch.

use std::io::{Cursor, Read};

use super::*;

fn table() -> ExportTable {
    ExportTable {
        columns: vec![
            ("x", ExportColumn::Single(2, vec![0.1, -2.0, 3e-9, 4.5])),
            ("y", ExportColumn::Whole(vec![1, 0])),
            ("marks", ExportColumn::Marks(3, vec![1, 0, -1, 0, 1, 1])),
            ("bias", ExportColumn::Double(1, vec![0.1 + 0.2, 1.0])),
            ("ids", ExportColumn::Texts(vec!["a,b".into(), "ü".into()])),
        ],
        lists: vec![("classes", ExportColumn::Texts(vec!["cat".into(), "dog".into(), "eel".into()]))],
        notes: Vec::new(),
    }
}

fn bytes(format: ExportFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write_export(&table(), format, &mut out).unwrap();
    out.into_inner()
}

#[test]
fn csv_has_a_column_for_each_number() {
    let text = String::from_utf8(bytes(ExportFormat::Csv)).unwrap();
    let expected = "x0,x1,y,marks0,marks1,marks2,bias,ids\n0.1,-2,1,1,0,-1,0.30000000000000004,\"a,b\"\n0.000000003,4.5,0,0,1,1,1,ü\n";
    assert_eq!(text, expected);
    let mut rest = Vec::new();
    write_rest(&table(), &mut rest).unwrap();
    assert!(String::from_utf8(rest).unwrap().starts_with("y,marks0,"));
}

#[test]
fn numpy_arrays_begin_at_a_multiple_of_64() {
    let npy = bytes(ExportFormat::Npy);
    let length = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    assert_eq!((&npy[..8], (10 + length) % 64, npy[9 + length]), (&b"\x93NUMPY\x01\x00"[..], 0, b'\n'));
    assert!(
        std::str::from_utf8(&npy[10..10 + length])
            .unwrap()
            .starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }")
    );
    assert_eq!(npy[10 + length..], [0.1f32, -2.0, 3e-9, 4.5].map(f32::to_le_bytes).concat());
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes(ExportFormat::Npz))).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["x.npy", "y.npy", "marks.npy", "bias.npy", "ids.npy", "classes.npy"]);
    let mut ids = Vec::new();
    zip.by_name("ids.npy").unwrap().read_to_end(&mut ids).unwrap();
    let text: Vec<u8> = ['a', ',', 'b', 'ü', '\0', '\0'].iter().flat_map(|c| u32::from(*c).to_le_bytes()).collect();
    assert!(ids.ends_with(&text), "{ids:?}");
}

#[test]
fn tensors_have_their_texts_in_the_metadata() {
    let bytes = bytes(ExportFormat::Safetensors);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("x").unwrap().shape(), [2, 2]);
    assert_eq!(file.tensor("bias").unwrap().data(), [0.1f64 + 0.2, 1.0].map(f64::to_le_bytes).concat());
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["classes"], r#"["cat","dog","eel"]"#);
}

#[test]
fn parquet_has_lists() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes(ExportFormat::Parquet)).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
    assert_eq!(rows[1], r#"{x: [0.000000003, 4.5], y: 0, marks: [0, 1, 1], bias: 1.0, ids: "ü"}"#);
    let texts = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(texts.iter().any(|text| text.key == "classes" && text.value.as_deref() == Some(r#"["cat","dog","eel"]"#)));
}
