//! A seed CD as a BMC reads it: whole, or a part at a time, as if it were a disk.
//!
//! In: the image, the method, the request's headers. Out: 200, 206 or 416 (RFC 9110, section 14). Only one range of bytes is understood; of
//! what is not understood the whole image comes, as the RFC has it.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

/// What is asked for of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Bytes(Range<usize>),
    /// It begins behind the end.
    Nowhere,
}

impl Part {
    /// Of an image of this length. `HEAD` has no ranges; an `If-Range` cannot be true, since no answer has a validator.
    pub(super) fn asked(head: bool, headers: &HeaderMap, length: usize) -> Part {
        let mut values = headers.get_all(header::RANGE).iter();
        let (Some(value), None, false) = (values.next(), values.next(), head || headers.contains_key(header::IF_RANGE))
        else {
            return Part::Whole;
        };
        value.to_str().ok().and_then(|text| range(text, length)).unwrap_or(Part::Whole)
    }

    /// Whether the image's first byte is in it: that is worth a line of the log, the others are not.
    pub(super) fn begins(&self) -> bool {
        match self {
            Part::Whole => true,
            Part::Bytes(range) => range.start == 0,
            Part::Nowhere => false,
        }
    }

    pub(super) fn answer(self, head: bool, image: &[u8]) -> Response {
        let length = image.len();
        let (status, range) = match self {
            Part::Whole => (StatusCode::OK, 0..length),
            Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range),
            Part::Nowhere => {
                let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes");
                let mut response = refusal.into_response();
                put(&mut response, header::CONTENT_RANGE, &format!("bytes */{length}"));
                return response;
            }
        };
        let body = if head { Body::empty() } else { Body::from(image[range.clone()].to_vec()) };
        let mut response = (status, body).into_response();
        put(&mut response, header::CONTENT_TYPE, "application/octet-stream");
        put(&mut response, header::ACCEPT_RANGES, "bytes");
        put(&mut response, header::CONTENT_LENGTH, &range.len().to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            // No range is empty.
            put(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{length}", range.start, range.end - 1));
        }
        response
    }
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    // Our own words and numbers.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n`; `None` where it is something else.
fn range(text: &str, length: usize) -> Option<Part> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        // More than there can be is more than there is.
        true if !text.is_empty() => Some(text.parse::<usize>().unwrap_or(usize::MAX)),
        _ => None,
    };
    if first.is_empty() {
        return Some(match number(last)?.min(length) {
            0 => Part::Nowhere,
            count => Part::Bytes(length - count..length),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { usize::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= length {
        return Some(Part::Nowhere);
    }
    Some(Part::Bytes(first..last.min(length - 1) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_never_reaches_past_the_end() {
        for (text, part) in [
            ("bytes=0-0", Some(Part::Bytes(0..1))),
            ("bytes=0-9", Some(Part::Bytes(0..10))),
            ("bytes=3-99999999999999999999999", Some(Part::Bytes(3..10))),
            ("bytes=9-", Some(Part::Bytes(9..10))),
            ("bytes=-3", Some(Part::Bytes(7..10))),
            ("bytes=-30", Some(Part::Bytes(0..10))),
            ("bytes=10-", Some(Part::Nowhere)),
            ("bytes=10-11", Some(Part::Nowhere)),
            ("bytes=-0", Some(Part::Nowhere)),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=1--2", None),
            ("bytes= 1-2", None),
            ("bytes", None),
            ("sectors=0-1", None),
        ] {
            assert_eq!(range(text, 10), part, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), Some(Part::Nowhere));
    }
}
