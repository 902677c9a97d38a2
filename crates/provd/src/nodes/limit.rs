//! So many at once, then so many a second: what anybody on a network can cause must not fill a log or a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A bucket of permissions that fills by itself.
pub(super) struct Limit {
    most: u64,
    per_second: u64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    /// In thousandths.
    left: u64,
    filled: Option<Instant>,
    refused: u64,
}

impl Limit {
    pub(super) fn new(most: u64, per_second: u64) -> Self {
        Limit { most, per_second, bucket: Mutex::new(Bucket { left: most * 1000, filled: None, refused: 0 }) }
    }

    /// A permission, with the number of times that there was none since the last one.
    pub(super) fn take(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = bucket.filled.map_or(0, |filled| now.saturating_duration_since(filled).as_millis());
        let more = u64::try_from(waited).unwrap_or(u64::MAX).saturating_mul(self.per_second);
        if more > 0 || bucket.filled.is_none() {
            bucket.filled = Some(now);
        }
        bucket.left = bucket.left.saturating_add(more).min(self.most * 1000);
        if bucket.left < 1000 {
            bucket.refused += 1;
            return None;
        }
        bucket.left -= 1000;
        Some(std::mem::take(&mut bucket.refused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_at_once_then_so_many_a_second() {
        let limit = Limit::new(3, 2);
        let start = Instant::now();
        let taken: Vec<_> = (0..5).map(|_| limit.take(start)).collect();
        assert_eq!(taken, [Some(0), Some(0), Some(0), None, None]);
        // Many small waits add up.
        for milliseconds in 1..500 {
            assert_eq!(limit.take(start + Duration::from_millis(milliseconds)), None);
        }
        assert_eq!(limit.take(start + Duration::from_millis(500)), Some(501));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..5).filter(|_| limit.take(later).is_some()).count(), 3);
        // A clock that goes back gives nothing.
        assert_eq!(limit.take(start), None);
    }
}
