//! The codes of Lempel, Ziv and Welch, which GIF and TIFF share.

use weezl::LzwStatus;
use weezl::decode::Decoder;

use crate::decode::ImageError;

/// Unpacks `count` values, and no more.
///
/// # Errors
/// When there are fewer.
pub(super) fn unpack(mut decoder: Decoder, packed: &[u8], count: usize) -> Result<Vec<u8>, ImageError> {
    let mut out = vec![0; count];
    let (mut read, mut written) = (0, 0);
    while written < count {
        let step = decoder.decode_bytes(&packed[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        if !matches!(step.status, Ok(LzwStatus::Ok)) || step.consumed_in + step.consumed_out == 0 {
            break;
        }
    }
    if written < count {
        return Err(ImageError::Damaged(format!("its codes make {written} values, and {count} are needed")));
    }
    Ok(out)
}
