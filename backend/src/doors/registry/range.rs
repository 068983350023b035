//! Ranges of blobs and of chunks. Spec: RFC 9110, section 14; distribution-spec, "Pushing a blob in chunks".

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Everything: there is none, or one that may be passed over (another unit, several ranges, nonsense).
    Whole,
    /// From the first to before the second byte.
    Part(u64, u64),
    /// What the blob does not have.
    Beyond,
}

/// Reads `Range` for something of `size` bytes.
pub fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Asked::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Asked::Whole };
    match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.trim().is_empty() => part(first, size),
        (None, Some(count)) if first.trim().is_empty() => match count.min(size) {
            0 => Asked::Beyond,
            count => Asked::Part(size - count, size),
        },
        _ => Asked::Whole,
    }
}

fn part(first: u64, end: u64) -> Asked {
    if first < end { Asked::Part(first, end) } else { Asked::Beyond }
}

/// Reads `Content-Range` of a chunk, `<first>-<last>`: where it begins, and how long it is.
pub fn chunk(header: &str) -> Option<(u64, u64)> {
    let (first, last) = header.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    Some((first, last.checked_sub(first)?.checked_add(1)?))
}

/// Digits alone.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        for (header, size, expected) in [
            (None, 10, Asked::Whole),
            (Some("bytes=0-3"), 10, Asked::Part(0, 4)),
            (Some("bytes=4-"), 10, Asked::Part(4, 10)),
            (Some("bytes=-3"), 10, Asked::Part(7, 10)),
            (Some("bytes=-30"), 10, Asked::Part(0, 10)),
            (Some("bytes=9-99"), 10, Asked::Part(9, 10)),
            (Some("bytes=10-"), 10, Asked::Beyond),
            (Some("bytes=-0"), 10, Asked::Beyond),
            (Some("bytes=0-0"), 0, Asked::Beyond),
            (Some("bytes=3-1"), 10, Asked::Whole),
            (Some("bytes=0-1,4-5"), 10, Asked::Whole),
            (Some("bytes=+1-2"), 10, Asked::Whole),
            (Some("lines=0-1"), 10, Asked::Whole),
            (Some("bytes=0-99999999999999999999999"), 10, Asked::Whole),
        ] {
            assert_eq!(asked(header, size), expected, "{header:?} of {size}");
        }
    }

    #[test]
    fn a_chunk_is_two_numbers() {
        assert_eq!(chunk("0-9"), Some((0, 10)));
        assert_eq!(chunk("5-5"), Some((5, 1)));
        for bad in ["", "5", "-5", "5-", "9-0", "bytes 0-9", "0-9/10", "+0-9", "0-18446744073709551615"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }
}
