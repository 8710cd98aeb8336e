//! Files as they are read: ordinary ones, of bounded size, and of those that are included only what ends in `.ron`.

use std::fs::{self, File, FileType};
use std::io::Read;
use std::path::Path;

/// A file larger than this is no experiment.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The text of an ordinary file. Nothing is read of what could be without end, such as a device or a pipe.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let kind = fs::metadata(path).map_err(|e| e.to_string())?.file_type();
    if !kind.is_file() {
        return Err(format!("it is {}, not a file", noun(kind)));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    // What the file system says of its size is not relied on.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {} MiB, which is too large for an experiment", MAX_FILE_BYTES >> 20));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn noun(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something special" }
}
