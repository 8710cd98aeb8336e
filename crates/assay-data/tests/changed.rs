//! Images that change between the plan and their use, in files of every kind: same length, same time stamp.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assay_data::datasets::Official;
use assay_data::{
    Color, Direct, FolderOptions, ImageError, Manifest, TableColumns, image_folder, omniglot, parquet_table,
};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A picture of two pixels.
fn picture(value: u8) -> Vec<u8> {
    [b"P6 2 1 255\n".as_slice(), &[value; 6]].concat()
}

const NAMES: [&str; 2] = ["images/Greek/character01/0001_01.ppm", "images/Greek/character02/0002_01.ppm"];

fn folder(path: &Path, values: [u8; 2]) {
    for (name, value) in ["a/1.ppm", "b/2.ppm"].into_iter().zip(values) {
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        fs::write(path.join(name), picture(value)).unwrap();
    }
}

fn zip(path: &Path, values: [u8; 2]) {
    let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, value) in NAMES.into_iter().zip(values) {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&picture(value)).unwrap();
    }
    writer.finish().unwrap();
}

fn tar(path: &Path, values: [u8; 2]) {
    let mut writer = tar::Builder::new(File::create(path).unwrap());
    for (name, value) in NAMES.into_iter().zip(values) {
        let content = picture(value);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        writer.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    writer.finish().unwrap();
}

fn parquet(path: &Path, values: [u8; 2]) {
    let schema = "message m { required binary image; required int32 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let images: Vec<ByteArray> = values.into_iter().map(|v| picture(v).into()).collect();
    column.typed::<ByteArrayType>().write_batch(&images, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[0, 1], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// The smallest binary CIFAR-10: one image in each file.
fn cifar(path: &Path, values: [u8; 2]) {
    fs::create_dir_all(path).unwrap();
    fs::write(path.join("batches.meta.txt"), "a\nb\n").unwrap();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        let mut file = Vec::new();
        for (label, value) in [0, 1].into_iter().zip(values) {
            file.push(label);
            file.extend([value; 3072]);
        }
        fs::write(path.join(format!("{name}.bin")), file).unwrap();
    }
}

type Way = (&'static str, fn(&Path, [u8; 2]), fn(&Path) -> Manifest);

const WAYS: [Way; 5] = [
    ("folder", folder, |path| image_folder(path, &FolderOptions::default(), &Direct).unwrap()),
    ("x.zip", zip, |path| omniglot(&[path.to_owned()], &Direct).unwrap()),
    ("x.tar", tar, |path| omniglot(&[path.to_owned()], &Direct).unwrap()),
    ("cifar", cifar, |path| Official::Cifar10.manifest(path, false, &Direct).unwrap()),
    ("x.parquet", parquet, |path| {
        let columns = TableColumns { image: "image".into(), label: "label".into(), ..TableColumns::default() };
        parquet_table(path, &columns, &Direct).unwrap()
    }),
];

/// Time stamps of the files that a manifest is read from.
fn files(manifest: &Manifest) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = manifest.samples.iter().map(|s| s.source.file().unwrap().to_owned()).collect();
    files.dedup();
    files
}

#[test]
fn what_is_decoded_is_what_was_planned() {
    for (name, write, read) in WAYS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        write(&path, [10, 20]);
        let manifest = read(&path);
        let seen = |i: usize| manifest.samples[i].picture(Color::Grey).map(|p| p.data[0]);
        // The first is not looked at before it changes; only the second changes.
        let before: Vec<_> = files(&manifest).iter().map(|f| (f.clone(), fs::metadata(f).unwrap())).collect();
        write(&path, [10, 21]);
        for (file, metadata) in before {
            assert_eq!(fs::metadata(&file).unwrap().len(), metadata.len(), "{name}");
            File::options().write(true).open(&file).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
        }
        assert_eq!(seen(0).unwrap(), 10, "{name}");
        let changed = seen(1);
        assert!(matches!(changed, Err(ImageError::Changed)), "{name}: {changed:?}");
        // A new plan sees the new image.
        let again = read(&path);
        assert_ne!(again.digest(), manifest.digest(), "{name}");
        assert_eq!(again.samples[1].picture(Color::Grey).unwrap().data[0], 21, "{name}");
    }
}

#[test]
fn what_is_cut_off_or_gone_is_no_damaged_image() {
    for (name, write, read) in WAYS {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        write(&path, [10, 20]);
        let manifest = read(&path);
        for file in files(&manifest) {
            let length = fs::metadata(&file).unwrap().len();
            File::options().write(true).open(&file).unwrap().set_len(length / 3).unwrap();
        }
        let last = manifest.samples.len() - 1;
        let cut = manifest.samples[last].picture(Color::Rgb).unwrap_err();
        assert!(!cut.is_of_the_content(), "{name}: {cut}");
        for file in files(&manifest) {
            fs::remove_file(file).unwrap();
            let gone = manifest.samples[last].picture(Color::Rgb).unwrap_err();
            assert!(!gone.is_of_the_content(), "{name}: {gone}");
        }
    }
}
