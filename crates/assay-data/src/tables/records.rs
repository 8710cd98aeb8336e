//! A reader that refuses a CSV file with an endless line before it fills the memory.

use std::io::{self, Read};

/// Most bytes of a record, which may have several lines in quotes.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;
/// Most bytes of a file: its rows are kept in memory.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Passes on what it reads, and counts the bytes of each record by the rules that the parser has for quotes.
pub(crate) struct BoundedRecords<R> {
    source: R,
    delimiter: u8,
    place: Place,
    line: u64,
    record: usize,
    total: u64,
}

/// The part of a record that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    FieldStart,
    Bare,
    Quoted,
    /// After a quote in quotes: the end, unless another follows.
    QuoteInQuotes,
}

impl<R: Read> BoundedRecords<R> {
    pub fn new(source: R, delimiter: u8) -> Self {
        Self { source, delimiter, place: Place::FieldStart, line: 1, record: 0, total: 0 }
    }

    fn see(&mut self, byte: u8) -> io::Result<()> {
        self.line += u64::from(byte == b'\n');
        self.record += 1;
        self.place = match (self.place, byte) {
            (Place::FieldStart | Place::QuoteInQuotes, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::QuoteInQuotes,
            (Place::Quoted, _) => Place::Quoted,
            (_, other) if other == self.delimiter => Place::FieldStart,
            (_, b'\n' | b'\r') => {
                self.record = 0;
                Place::FieldStart
            }
            _ => Place::Bare,
        };
        if self.record > MAX_RECORD_BYTES {
            let line = self.line;
            let message = format!("line {line}: a row has more than {MAX_RECORD_BYTES} bytes; is a quote missing?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<R: Read> Read for BoundedRecords<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.total += count as u64;
        if self.total > MAX_FILE_BYTES {
            let message = format!("it has more than {MAX_FILE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        buffer[..count].iter().try_for_each(|byte| self.see(*byte))?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: impl Read) -> Result<usize, String> {
        let mut reader = csv::Reader::from_reader(BoundedRecords::new(text, b','));
        reader.records().try_fold(0, |n, row| row.map(|_| n + 1)).map_err(|e| e.to_string())
    }

    #[test]
    fn an_endless_row_is_refused_and_long_files_are_not() {
        let endless = |start: &'static str| start.as_bytes().chain(io::repeat(b'x').take(1 << 30));
        for start in ["a,b\n1,", "a,b\n1,\"2\n", "a,b\n\"1\"\"", "a,b\n\"1\"2"] {
            let error = rows(endless(start)).unwrap_err();
            assert!(error.contains("a row has more than 16777216 bytes"), "{error}");
            assert!(error.contains(if start.contains("\"2\n") { "line 3" } else { "line 2" }), "{error}");
        }
        // Quotes that are none, and quoted commas, quotes and line breaks, over more than a record may have.
        let plain = b"5\" pipe,\"a,\"\"b\"\"\nc\"\r\n".repeat(1 << 20);
        assert_eq!(rows(b"a,b\n".chain(plain.as_slice())).unwrap(), 1 << 20);
    }
}
