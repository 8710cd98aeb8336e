//! Files that want memory, never end, or have no pixels.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use assay_data::{Color, CsvColumns, Direct, ImageError, Picture, TableColumns, csv_table, omniglot, parquet_table};

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn chunk(name: &str, content: &[u8]) -> Vec<u8> {
    let body = [name.as_bytes(), content].concat();
    [&(content.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

fn zlib(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    parts.for_each(|part| encoder.write_all(&part).unwrap());
    encoder.finish().unwrap()
}

fn png(width: u32, height: u32, rows: Vec<u8>, extra: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let pixels = zlib(std::iter::once(rows));
    [b"\x89PNG\r\n\x1a\n", &chunk("IHDR", &header)[..], extra, &chunk("IDAT", &pixels), &chunk("IEND", b"")].concat()
}

/// Most memory that this process has had, in MiB.
#[cfg(target_os = "linux")]
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

#[cfg(target_os = "linux")]
#[test]
fn profiles_and_texts_are_not_unpacked() {
    const MIB: usize = 400;
    let packed = zlib((0..MIB).map(|_| vec![0; 1 << 20]));
    let before = peak_mib();
    for (name, head) in [("iCCP", b"k\0\0".as_slice()), ("zTXt", b"k\0\0"), ("iTXt", b"k\0\x01\0\0\0")] {
        let image = png(4, 4, vec![0; 52], &chunk(name, &[head, &packed].concat()));
        let picture = Picture::decode(&image, Color::Rgb).unwrap();
        assert_eq!(picture.data, [0; 48], "{name}");
        let grown = peak_mib() - before;
        assert!(grown < MIB as u64 / 4, "{name}: {grown} MiB for an image of 4 × 4 pixels");
    }
}

/// A file header and the header of a bitmap with 24 bits a pixel.
fn bmp(width: i32, height: i32) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for number in [54, 0, 54, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file
}

fn tiff(width: u32, height: u32) -> Vec<u8> {
    let entries =
        [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 0)];
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    for (tag, value) in entries {
        file.extend([tag as u8, (tag >> 8) as u8, 4, 0, 1, 0, 0, 0]);
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn images_without_pixels_are_damaged() {
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/preprocess/jpeg-grey.jpg");
    let jpeg = std::fs::read(jpeg).unwrap();
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let emptied = |at: usize| {
        let mut image = jpeg.clone();
        image[frame + at..frame + at + 2].fill(0);
        image
    };
    let mut images: Vec<(String, Vec<u8>)> =
        vec![("JPEG, height".into(), emptied(5)), ("JPEG, width".into(), emptied(7))];
    for (width, height) in [(0, 0), (0, 3), (3, 0)] {
        let mut add = |name: &str, bytes: Vec<u8>| images.push((format!("{name} {width}×{height}"), bytes));
        add("PNG", png(width, height, Vec::new(), b""));
        add("BMP", bmp(width as i32, height as i32));
        add("TIFF", tiff(width, height));
        for kind in ["P1", "P2", "P3"] {
            add(kind, format!("{kind} {width} {height} {}\n", if kind == "P1" { "" } else { "255" }).into_bytes());
        }
        for kind in ["P4", "P5", "P6"] {
            add(kind, format!("{kind} {width} {height} {}\n", if kind == "P4" { "" } else { "255" }).into_bytes());
        }
        for (depth, kind) in [(1, "GRAYSCALE"), (3, "RGB"), (4, "RGB_ALPHA")] {
            let header =
                format!("P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n");
            add(&format!("P7 {kind}"), header.into_bytes());
        }
    }
    for (name, bytes) in images {
        for color in [Color::Rgb, Color::Grey] {
            let error = Picture::decode(&bytes, color).map(|p| (p.width, p.height)).unwrap_err();
            assert!(matches!(error, ImageError::Damaged(_)), "{name}: {error:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_before_they_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for ending in ["csv", "zip", "tar", "parquet"] {
        assert!(std::process::Command::new("mkfifo").arg(at(&format!("pipe.{ending}"))).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", at(&format!("zero.{ending}"))).unwrap();
    }
    let csv = CsvColumns { image: "a".into(), label: "b".into(), split: None, ..CsvColumns::default() };
    let parquet = TableColumns { image: "a".into(), label: "b".into(), ..TableColumns::default() };
    for (name, kind) in [("pipe", "FIFO"), ("zero", "a device")] {
        let file = |ending: &str| at(&format!("{name}.{ending}"));
        for error in [
            csv_table(&file("csv"), dir.path(), &csv, &Direct).unwrap_err(),
            omniglot(&[file("zip")], &Direct).unwrap_err(),
            omniglot(&[file("tar")], &Direct).unwrap_err(),
            parquet_table(&file("parquet"), &parquet, &Direct).unwrap_err(),
        ] {
            let error = format!("{error:#}");
            assert!(error.contains(kind) && error.contains(name), "{error}");
        }
    }
}

#[test]
fn an_endless_line_of_a_table_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.csv");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(b"a,b\n1,2\n3,").unwrap();
    // No byte of the rest is on the disk.
    file.set_len(1 << 31).unwrap();
    let columns = CsvColumns { image: "a".into(), label: "b".into(), split: None, ..CsvColumns::default() };
    let error = format!("{:#}", csv_table(&path, dir.path(), &columns, &Direct).unwrap_err());
    assert!(error.contains("long.csv") && error.contains("line 3: a row has more than"), "{error}");
}

/// Names of members are read into memory by the library, so one of gigabytes must be refused before.
#[test]
fn a_tar_whose_name_of_a_member_is_endless_is_refused() {
    for kind in [b'L', b'x', b'g', b'K'] {
        let mut header = tar::Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_size(3 << 30);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long.tar");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len((3 << 30) + 2048).unwrap();
        let error = format!("{:#}", omniglot(&[path], &Direct).unwrap_err());
        assert!(error.contains("long.tar") && error.contains("name of a member"), "{}: {error}", kind as char);
    }
}
