//! Mounts: which volume, or what of the host, shows where in a container. Knows no policy and no disk.

use super::check::{is_unprintable, shown};

/// As long as a container engine's own names.
const VOLUME_CHARS: usize = 128;

/// One of a task's Mounts: `SOURCE:/path[:ro]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    pub source: MountSource<'a>,
    /// Where it shows in the container.
    pub path: &'a str,
    pub is_read_only: bool,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountSource<'a> {
    /// A volume of the engine's, which makes it if it is not there.
    Volume(&'a str),
    /// Something of the host's, by its absolute path: a worker's policy has to allow it.
    HostPath(&'a str),
}

impl<'a> Mount<'a> {
    /// What is expected stands in the error.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let expected = || {
            format!("expected VOLUME:/path or /of/the/host:/path, perhaps with :ro, found {:?}", shown(text))
        };
        let mut parts = text.split(':');
        let (Some(source), Some(path)) = (parts.next(), parts.next()) else { return Err(expected()) };
        if source.starts_with(['.', '~']) {
            return Err(format!(
                "expected a named volume or an absolute path of the host, found {:?}",
                shown(source)
            ));
        }
        let is_read_only = match (parts.next(), parts.next()) {
            (None | Some("rw"), None) => false,
            (Some("ro"), None) => true,
            _ => return Err(expected()),
        };
        let source = if source.starts_with('/') {
            if !is_plain_path(source) {
                return Err(format!(
                    "expected an absolute path of the host without `.`, `..`, `//` or a `/` at its end, found {:?}",
                    shown(source)
                ));
            }
            MountSource::HostPath(source)
        } else {
            MountSource::Volume(Some(source).filter(|name| is_volume(name)).ok_or_else(expected)?)
        };
        let is_path = path.len() > 1
            && path.starts_with('/')
            && !path.contains(is_unprintable)
            && path.split('/').all(|part| part != "..");
        if is_path { Ok(Self { source, path, is_read_only }) } else { Err(expected()) }
    }

    /// The path on the host, if it is one.
    pub fn host_path(self) -> Option<&'a str> {
        match self.source {
            MountSource::HostPath(path) => Some(path),
            MountSource::Volume(_) => None,
        }
    }
}

fn is_volume(name: &str) -> bool {
    (2..=VOLUME_CHARS).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// Whether this is an absolute path with nothing in it that has to be worked out: as a prefix it can be compared.
pub fn is_plain_path(path: &str) -> bool {
    /// The kernel's own limit.
    const PATH_BYTES: usize = 4096;
    let is_plain = |rest: &str| rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    path.len() < PATH_BYTES
        && !path.contains(|c| c == ':' || is_unprintable(c))
        && path.strip_prefix('/').is_some_and(|rest| rest.is_empty() || is_plain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_volume_or_a_path_of_the_host() {
        for (text, source, path, is_read_only) in [
            ("data:/var/lib/data", MountSource::Volume("data"), "/var/lib/data", false),
            ("data:/d:ro", MountSource::Volume("data"), "/d", true),
            ("my-data.1:/d:rw", MountSource::Volume("my-data.1"), "/d", false),
            ("/srv/data:/d", MountSource::HostPath("/srv/data"), "/d", false),
            ("/srv/..data:/d:ro", MountSource::HostPath("/srv/..data"), "/d", true),
            ("/:/host", MountSource::HostPath("/"), "/host", false),
        ] {
            assert_eq!(Mount::parse(text), Ok(Mount { source, path, is_read_only }), "{text}");
        }
    }

    #[test]
    fn what_is_no_mount_says_what_was_expected() {
        for text in [
            "",
            "data",
            "data:x",
            "data:/",
            "data:/x:ro:z",
            "data:/x:z",
            "data:/x/../..",
            "data:/..",
            "d:/x",
            ":/x",
            "-data:/x",
            "/srv",
            "/srv:x",
            "/srv:/",
            "/srv/:/x",
            "//srv:/x",
            "/srv/../etc:/x",
            "/srv/./a:/x",
            "/srv/\u{202e}:/x",
        ] {
            assert!(Mount::parse(text).unwrap_err().starts_with("expected"), "{text}");
        }
        for text in ["./x:/x", "~/x:/x", "../x:/x"] {
            assert!(Mount::parse(text).unwrap_err().contains("absolute path"), "{text}");
        }
    }
}
