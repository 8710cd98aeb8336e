//! Text files as UTF-8, whatever Unicode encoding their byte order mark names.

use std::io::{self, BufReader, Cursor, Read};

/// Opens a text: a mark of UTF-8 is passed over, UTF-16 with a mark is translated. The name of the encoding is told where it is
/// not plain UTF-8.
///
/// # Errors
/// When it cannot be read, or looks like UTF-16 without a mark.
pub(super) fn decoded(mut source: impl Read + 'static) -> io::Result<(Box<dyn Read>, Option<&'static str>)> {
    let mut head = Vec::new();
    source.by_ref().take(4).read_to_end(&mut head)?;
    let (skip, encoding, little) = match head.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => (3, Some("UTF-8 with a byte order mark"), None),
        [0xff, 0xfe, ..] => (2, Some("UTF-16, little endian"), Some(true)),
        [0xfe, 0xff, ..] => (2, Some("UTF-16, big endian"), Some(false)),
        other if other.contains(&0) => {
            return Err(invalid("it looks like UTF-16 without a byte order mark: save it as UTF-8"));
        }
        _ => (0, None, None),
    };
    let rest = Cursor::new(head[skip..].to_vec()).chain(source);
    Ok(match little {
        None => (Box::new(rest), encoding),
        Some(little) => {
            (Box::new(Utf16 { source: BufReader::new(rest), little, high: None, out: Vec::new(), at: 0 }), encoding)
        }
    })
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Translates UTF-16 to UTF-8.
struct Utf16<R> {
    source: BufReader<R>,
    little: bool,
    /// The first half of a pair.
    high: Option<u16>,
    out: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16<R> {
    fn unit(&mut self) -> io::Result<Option<u16>> {
        let mut bytes = [0; 2];
        let mut read = 0;
        while read < 2 {
            match self.source.read(&mut bytes[read..])? {
                0 if read == 0 => return Ok(None),
                0 => return Err(invalid("its UTF-16 ends within a character")),
                count => read += count,
            }
        }
        Ok(Some(if self.little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.at = 0;
        while self.out.len() < 4096 {
            let Some(unit) = self.unit()? else {
                return if self.high.is_some() { Err(invalid("its UTF-16 ends within a character")) } else { Ok(()) };
            };
            let decoded = match (self.high.take(), unit) {
                (None, 0xd800..=0xdbff) => {
                    self.high = Some(unit);
                    continue;
                }
                (None, unit) => char::decode_utf16([unit]).next(),
                (Some(high), unit) => char::decode_utf16([high, unit]).next(),
            };
            let Some(Ok(character)) = decoded else { return Err(invalid("it is not valid UTF-16")) };
            self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.out.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.out.len() - self.at);
        buffer[..count].copy_from_slice(&self.out[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
