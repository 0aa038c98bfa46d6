//! Where a body ends that comes in chunks (RFC 9112, section 7.1). Keeps nothing of it.

/// A line with a size, or of a trailer, that is longer than this is none.
const LONGEST: usize = 8192;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In the digits of a size.
    #[default]
    Size,
    /// Behind them, where extensions may be.
    Extension,
    Data,
    /// The line end behind the data.
    DataEnd,
    /// In the lines behind the last chunk; so many letters of this one have come.
    Trailer(usize),
}

/// How far the body has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunks {
    at: At,
    /// Bytes of data to come.
    left: u64,
    digits: usize,
    /// Of the line.
    length: usize,
}

/// It is not in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChunks;

impl Chunks {
    /// Reads on. `Some` with the number of bytes used when the body has ended.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<usize>, NoChunks> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used).copied() {
            if self.at == At::Data {
                let data = self.left.min((bytes.len() - used) as u64);
                self.left -= data;
                used += data as usize;
                if self.left == 0 {
                    self.at = At::DataEnd;
                }
                continue;
            }
            used += 1;
            self.length += 1;
            if self.length > LONGEST {
                return Err(NoChunks);
            }
            self.at = match (self.at, byte) {
                (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).expect("a hexadecimal digit");
                    self.left = self.left.checked_mul(16).ok_or(NoChunks)? | u64::from(digit);
                    self.digits += 1;
                    At::Size
                }
                (At::Size, b';' | b' ' | b'\t' | b'\r') if self.digits > 0 => At::Extension,
                (At::Size | At::Extension, b'\n') if self.digits > 0 => {
                    (self.digits, self.length) = (0, 0);
                    if self.left == 0 { At::Trailer(0) } else { At::Data }
                }
                (At::Extension, _) => At::Extension,
                (At::DataEnd, b'\r') => At::DataEnd,
                (At::DataEnd, b'\n') => {
                    self.length = 0;
                    At::Size
                }
                (At::Trailer(0), b'\n') => return Ok(Some(used)),
                (At::Trailer(_), b'\n') => At::Trailer(0),
                (At::Trailer(letters), b'\r') => At::Trailer(letters),
                (At::Trailer(letters), _) => At::Trailer(letters + 1),
                _ => return Err(NoChunks),
            };
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read at once and byte by byte, it comes to the same.
    #[track_caller]
    fn check(text: &[u8], want: Result<Option<usize>, NoChunks>) {
        assert_eq!(Chunks::default().read(text), want);
        let mut chunks = Chunks::default();
        let mut got = Ok(None);
        for (at, byte) in text.iter().enumerate() {
            got = chunks.read(&[*byte]).map(|end| end.map(|used| at + used));
            if got != Ok(None) {
                break;
            }
        }
        assert_eq!(got, want, "byte by byte");
    }

    #[test]
    fn the_last_chunk_is_empty_and_trailers_follow_it() {
        check(b"3\r\nok\n\r\n0\r\n\r\n", Ok(Some(13)));
        check(b"3\r\nok\n\r\n0\r\n\r\nmore", Ok(Some(13)));
        check(b"A;name=value\r\n0123456789\r\n00\r\nServer: x\r\n\r\n", Ok(Some(43)));
        check(b"3\r\nok\n\r\n0\r\n", Ok(None));
        check(b"ff\r\n0\r\n\r\n", Ok(None));
    }

    #[test]
    fn what_is_no_chunk_is_said() {
        check(b"ok\n", Err(NoChunks));
        check(b"\r\n", Err(NoChunks));
        check(b"3\r\nok\n!", Err(NoChunks));
        check(b"11111111111111111\r\n", Err(NoChunks));
    }
}
