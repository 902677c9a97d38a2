//! Paths inside an image. They never name a file of the build host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An absolute, normal path inside an image: starts with `/`, no `.`, `..`, empty component, NUL or trailing slash.
///
/// The order is that of the components, so a directory stands directly before everything below it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImagePath(String);

/// Why a text is not an image path.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ImagePathError {
    #[error("'{0}' is not an absolute path")]
    NotAbsolute(String),
    #[error("'{0}' has an empty, '.' or '..' component")]
    NotNormal(String),
    #[error("'{0}' has a NUL byte")]
    Nul(String),
}

impl ImagePath {
    pub fn root() -> Self {
        ImagePath("/".to_owned())
    }

    pub fn new(text: impl Into<String>) -> Result<Self, ImagePathError> {
        let text = text.into();
        let Some(rest) = text.strip_prefix('/') else {
            return Err(ImagePathError::NotAbsolute(text));
        };
        if text.contains('\0') {
            return Err(ImagePathError::Nul(text));
        }
        if !rest.is_empty() && rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(ImagePathError::NotNormal(text));
        }
        Ok(ImagePath(text))
    }

    /// A path known at compile time.
    ///
    /// # Panics
    /// When the text is not an image path: that is a mistake in provbuild.
    pub fn literal(text: &str) -> Self {
        Self::new(text).unwrap_or_else(|error| panic!("literal image path: {error}"))
    }

    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash, as archives and `openat` want it; empty for the root.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    pub fn parent(&self) -> Option<ImagePath> {
        let cut = self.0.rfind('/')?;
        match (self.is_root(), cut) {
            (true, _) => None,
            (false, 0) => Some(ImagePath::root()),
            (false, cut) => Some(ImagePath(self.0[..cut].to_owned())),
        }
    }

    /// Appends a relative path of one or more components.
    pub fn join(&self, relative: &str) -> Result<ImagePath, ImagePathError> {
        match self.is_root() {
            true => ImagePath::new(format!("/{relative}")),
            false => ImagePath::new(format!("{}/{relative}", self.0)),
        }
    }

    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &ImagePath) -> bool {
        other.is_root() || self == other || self.0.strip_prefix(&other.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Ord for ImagePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for ImagePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for ImagePath {
    type Err = ImagePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_normal_absolute_paths_are_accepted() {
        for good in ["/", "/etc", "/etc/a b", "/a/...", "/ü"] {
            assert!(ImagePath::new(good).is_ok(), "{good}");
        }
        for bad in ["", "etc", "/etc/", "//", "/a//b", "/./a", "/a/..", "/..", "/a\0b"] {
            assert!(ImagePath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_directory_sorts_directly_before_its_contents() {
        let mut paths: Vec<_> = ["/a-b", "/a/c", "/a", "/"].map(ImagePath::literal).into();
        paths.sort();
        assert_eq!(paths, ["/", "/a", "/a/c", "/a-b"].map(ImagePath::literal));
    }

    #[test]
    fn parents_and_containment() {
        let path = ImagePath::literal("/usr/lib");
        assert_eq!(path.parent(), Some(ImagePath::literal("/usr")));
        assert_eq!(ImagePath::literal("/usr").parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::root().parent(), None);
        assert!(path.is_within(&ImagePath::literal("/usr")) && path.is_within(&ImagePath::root()));
        assert!(!ImagePath::literal("/usrlocal").is_within(&ImagePath::literal("/usr")));
        assert_eq!(path.join("x/y").unwrap(), ImagePath::literal("/usr/lib/x/y"));
        assert!(path.join("../x").is_err());
    }
}
